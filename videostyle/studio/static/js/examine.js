// Looks at a film beside painting it: moments that are worth a try, and how much an excerpt flickers.

import { get, Refused, send } from "./api.js";
import { $, clock, make, report } from "./dom.js";

const VERSIONS = ["film", "frame by frame", "stabilized"];
let asked = ""; // upload whose moments were asked for
let shown = null; // job of the excerpt that plays
let onGo = () => {};
let onCompare = () => {};

export function begin(go, compare) {
  onGo = go;
  onCompare = compare;
  $("steady").addEventListener("click", () => measure().catch(report));
}

// Suggests moments of a film, once, in the background.
export async function suggest(input, view, seconds) {
  if (asked === input.id) return;
  asked = input.id;
  $("moments").hidden = true;
  if (input.kind !== "film" || !(input.seconds > 2 * seconds)) return;
  try {
    const { moments } = await get(`/studio/moments/${input.id}?view=${view}&seconds=${seconds}`);
    if (asked !== input.id) return;
    $("moments").replaceChildren(make("span", { className: "soft" }, "Worth a try:"), ...moments.map((one) => make("button", {
      type: "button", className: "small", onclick: () => onGo(one.start),
    }, `${clock(one.start, 0)} ${one.reason}`)));
    $("moments").hidden = !moments.length;
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 409) throw error;
  }
}

export function forget() {
  asked = "";
  $("moments").hidden = true;
  leave();
}

// Offers the comparison of the excerpt that is shown; a whole film takes too long.
export function offer(job) {
  shown = job.settings.end && job.settings.stabilize !== 0 ? job : null;
  $("steady").hidden = !shown;
}

export function leave() {
  shown = null;
  $("steady").hidden = true;
}

async function measure() {
  const job = shown;
  const before = $("status").textContent;
  $("steady").disabled = true;
  $("status").textContent = "The excerpt is painted frame by frame, too, and both are measured…";
  let found;
  try {
    found = await (await send(`/studio/jobs/${job.id}/comparison`, {})).json();
  } finally {
    $("steady").disabled = false;
    $("status").textContent = before;
  }
  const known = found.means.film !== null;
  $("figures-text").textContent = known
    ? "Warping error, times 1000: how much a frame differs from the one before it, moved along the film's motion. Less is steadier; the film itself is the measure."
    : "The motion of this excerpt cannot be followed, so there are no figures.";
  $("figures-plot").replaceChildren(...(known ? lines(found) : []));
  $("figures-plot").toggleAttribute("hidden", !known);
  $("figures-table").replaceChildren(...(known ? VERSIONS.map((name) => make("tr", { dataset: { version: name } },
    make("th", { scope: "row" }, name), make("td", {}, found.means[name].toFixed(1)))) : []));
  if (await chosen() === "compare" && shown === job) onCompare(job);
}

function chosen() {
  const dialog = $("figures");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

// The errors from frame to frame as lines, in a box of 300 by 100.
function lines({ times, errors }) {
  const most = Math.max(...VERSIONS.flatMap((name) => errors[name]), 1);
  const [first, last] = [times[0], times.at(-1)];
  return VERSIONS.map((name) => {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    const points = errors[name].map((value, at) => (value === null ? "" : `${((300 * (times[at] - first)) / (last - first || 1)).toFixed(1)},${(100 - (96 * value) / most).toFixed(1)}`));
    line.setAttribute("points", points.join(" "));
    line.dataset.version = name;
    return line;
  });
}
