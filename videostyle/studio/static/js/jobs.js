// The list of jobs, which is the server's: it is the same in every tab, and after a reload or a restart.

import { ask, get, remove, Refused, send } from "./api.js";
import { $, make, question, report, sentence, span, tell } from "./dom.js";

let known = new Map();
let about = {};
let acts = {};
const rows = new Map();

export function begin(told, given) {
  about = told;
  acts = given;
}

export function take(jobs) {
  const shown = jobs.filter((job) => !job.is_removed || ["starting", "processing"].includes(job.status));
  const first = known.size === 0;
  for (const job of shown) {
    const before = known.get(job.id);
    if (before && before.status !== job.status) ended(job);
    else if (!before && !first) $("no-jobs").hidden = true;
  }
  known = new Map(shown.map((job) => [job.id, job]));
  for (const [id, row] of rows) {
    if (!known.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  shown.forEach((job, place) => {
    let row = rows.get(job.id);
    if (!row) {
      row = build(job);
      rows.set(job.id, row);
    }
    fill(row, job);
    if ($("jobs").children[place] !== row) $("jobs").insertBefore(row, $("jobs").children[place] ?? null);
  });
  $("no-jobs").hidden = shown.length > 0;
  const active = shown.filter((job) => ["starting", "processing"].includes(job.status)).length;
  $("job-count").hidden = active === 0;
  $("job-count").textContent = ` ${active}`;
  document.title = active ? `(${active}) videostyle studio` : "videostyle studio";
}

function ended(job) {
  if (job.status === "succeeded") {
    tell(job.kind === "style" ? `${job.name} is learned` : `${job.name} is painted`, "good");
    acts.onDone(job);
  } else if (job.status === "failed") {
    tell(`${job.name}: ${job.error}`);
  }
}

function build(job) {
  const parts = {
    picture: make("img", { alt: "", width: 96, height: 54 }),
    name: make("span", { className: "job-name" }),
    bar: make("progress", { max: 1, aria: { label: `Progress of ${job.name}` } }),
    text: make("span", { className: "job-text" }),
    tools: make("span", { className: "job-tools" }),
  };
  const row = make("li", { className: "job", dataset: { job: job.id } }, parts.picture,
    make("div", { className: "job-body" }, parts.name, parts.bar, parts.text), parts.tools);
  row.parts = parts;
  parts.picture.onerror = () => {
    row.version = ""; // it is not there yet: the next news of the job tries again
  };
  return row;
}

function fill(row, job) {
  const { parts } = row;
  const { progress } = job;
  row.dataset.status = job.status;
  parts.name.textContent = job.settings.end ? `${job.name} (an excerpt)` : job.name;
  const runs = job.status === "processing";
  parts.bar.hidden = !runs;
  if (runs && progress.total) parts.bar.value = progress.share;
  else parts.bar.removeAttribute("value");
  parts.text.textContent = told(job);
  const version = `${progress.thumbnail ?? 0}-${job.status}`;
  if (row.version !== version && job.urls.thumbnail && (progress.thumbnail || job.status === "succeeded" || job.kind === "style" && runs)) {
    row.version = version;
    parts.picture.src = `${job.urls.thumbnail}?v=${version}`;
  }
  const buttons = `${job.status}${Boolean(job.urls.result)}`;
  if (row.buttons !== buttons) {
    row.buttons = buttons;
    parts.tools.replaceChildren(...tools(job));
  }
}

function told(job) {
  const { progress, status } = job;
  if (status === "starting") {
    if (progress.note) return sentence(progress.note);
    return job.ahead ? `Waits: ${job.ahead} before it` : "Begins…";
  }
  if (status === "processing") {
    const words = [];
    if (progress.unit === "frames" && progress.total) words.push(`${Math.round(progress.done)} of ${progress.total} frames`);
    else if (progress.total) words.push(`${Math.round(100 * progress.share)} %`);
    else words.push(progress.stage || "begins");
    if (progress.fps) words.push(`${progress.fps.toFixed(1)} frames/s`);
    if (progress.seconds_left) words.push(`about ${span(progress.seconds_left)} left`);
    return words.join(" · ");
  }
  if (status === "succeeded") {
    if (job.kind === "style") return "Learned: it is among the styles";
    const frames = job.output.frames;
    return [frames > 1 ? `${frames} frames` : "A picture", `in ${span(job.output.seconds ?? 0)}`, ...(job.output.warnings ?? [])].join(" · ");
  }
  return status === "failed" ? sentence(job.error) : "Stopped";
}

function tools(job) {
  const button = (text, act, more = {}) => make("button", { type: "button", className: "small", onclick: () => Promise.resolve(act()).catch(report), aria: { label: `${text}: ${job.name}` }, ...more }, text);
  if (["starting", "processing"].includes(job.status)) {
    return [button("Stop", async () => {
      await remove(`/v1/jobs/${job.id}`);
    })];
  }
  const found = [];
  if (job.urls.result) {
    found.push(button("Show", () => acts.onShow(known.get(job.id) ?? job)));
    found.push(make("a", { className: "button small", href: job.urls.result, download: job.name, aria: { label: `Download ${job.name}` } }, "Download"));
    if (about.saves_to) found.push(button(`Save to ${about.saves_to}`, () => keep(job)));
  }
  if (job.kind === "film") found.push(button("Use its settings", () => acts.onUse(job)));
  found.push(button("Remove", async () => {
    await remove(`/v1/jobs/${job.id}`);
    take([...known.values()].filter((one) => one.id !== job.id));
  }));
  return found;
}

async function keep(job, overwrite = false) {
  try {
    const answer = await send(`/studio/jobs/${job.id}/save`, { overwrite });
    tell(`saved as ${(await answer.json()).name} in ${about.saves_to}`, "good");
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 409) throw error;
    const chosen = await question(`There is a file ${job.name} in ${about.saves_to} already.`, [["", "Leave it"], ["replace", "Replace it"]]);
    if (chosen === "replace") await keep(job, true);
  }
}

export async function refresh() {
  take((await get("/v1/jobs?limit=100")).jobs);
}

export async function submit(input, settings, format = null) {
  const answer = await send("/v1/jobs", { input, settings, ...(format ? { format } : {}) });
  const job = await answer.json();
  take([job, ...known.values()]);
  return job;
}

export async function painted(input, settings, format = null) {
  const answer = await ask("/v1/images", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ input, settings, ...(format ? { format } : {}) }) });
  return { blob: await answer.blob(), name: /filename\*?=(?:utf-8'')?"?([^";]+)/i.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "painted.png" };
}
