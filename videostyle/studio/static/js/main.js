// The page: opens a file, shows it at once, paints one frame after every change, and hands whole films to a job.

import * as adjust from "./adjust.js";
import { follow, get, send } from "./api.js";
import * as camera from "./camera.js";
import * as command from "./command.js";
import { $, clock, download, make, megabytes, report, tell } from "./dom.js";
import * as examine from "./examine.js";
import * as jobs from "./jobs.js";
import * as mask from "./mask.js";
import { begin as beginOpening, openFile, openListed, openUpload } from "./opening.js";
import * as stage from "./stage.js";
import { load, save, settings, state, take } from "./state.js";
import * as styles from "./styles.js";
import * as timeline from "./timeline.js";

const TAB = crypto.randomUUID?.() ?? String(Math.random());
const EXCERPT = 3; // seconds
let about = null;
let input = null; // what the service tells of the open file
let waiting = null; // job whose result is shown as soon as it is there
let painting = 0;
let shownFrame = ""; // which frame the original is, as the server made it

// Opening

function leaveFilm() {
  stage.leaveFilm();
  examine.leave();
}

// Leaves what is shown, for another file.
function leave() {
  leaveCamera();
  leaveFilm();
  stage.forgetPainting();
  painting++;
  shownFrame = "";
}

// Goes on with what is open, after a file that could not be opened.
function failed() {
  $("status").textContent = "";
  if (input) stage.shape(input.width, input.height);
  else stage.empty();
}

async function show(told) {
  input = told;
  examine.forget();
  stage.shape(told.width, told.height);
  mask.shape(told.width, told.height);
  await mask.restore();
  const isFilm = told.kind === "film";
  document.body.dataset.mode = told.kind;
  $("title").textContent = `${told.name}, ${told.width}×${told.height}${isFilm && told.seconds ? `, ${clock(told.seconds, 0)}` : ""}`;
  $("transport").hidden = !isFilm;
  resetTransport();
  words();
  save();
  changed();
}

function resetTransport() {
  const last = Math.max((input?.seconds ?? 0) - 1 / (input?.fps || 25), 0);
  Object.assign($("at"), { min: "0", max: String(last || 1), step: String(1 / (input?.fps || 25)) });
  $("at").value = String(state.at);
  stage.showTime(state.at);
  timeline.draw();
}

// A film, a photo and the camera each have their own words.
function words() {
  const mode = document.body.dataset.mode;
  $("paint").textContent = mode === "photo" ? "Save the painted photo" : "Paint the film";
  $("paint").hidden = mode === "camera";
  $("excerpt").hidden = mode !== "film";
  $("snapshot").hidden = $("record").hidden = mode !== "camera";
  $("paint").disabled = $("excerpt").disabled = $("show-command").disabled = !input;
  $("show-command").hidden = mode === "camera";
  const subject = { photo: "photo", camera: "camera", film: "film" }[mode];
  $("set-keep_colors")?.parentElement.querySelector("label").replaceChildren(`Keep the ${subject}'s colors`);
  estimate();
}

function estimate() {
  $("note").textContent = "";
  if (!input || document.body.dataset.mode !== "film" || !input.frames) return;
  $("note").textContent = `${input.frames} frames${input.fps ? ` at ${Number(input.fps.toFixed(2))} frames/s` : ""}`;
}

// Painting one frame

let soon = 0;
function changed(name = "") {
  if (name === "network") styles.load().then(() => changed()).catch(report);
  timeline.note();
  adjust.show();
  styles.mark();
  save();
  if (stage.showsFilm()) {
    leaveFilm();
    resetTransport();
  }
  clearTimeout(soon);
  soon = setTimeout(() => paintStill().catch(report), 40);
}

async function paintStill() {
  if (!input || camera.isOn() || stage.showsFilm()) return;
  const mine = ++painting;
  styles.stopCards();
  stage.working(true);
  const began = performance.now();
  try {
    const frame = `${input.id}/${state.at}`;
    if (frame !== shownFrame) {
      const answer = await send("/v1/stills", { input: input.id, at: state.at, view: `${TAB}-frame` });
      const blob = await answer.blob();
      if (mine !== painting) return;
      await stage.showPicture("before", blob);
      shownFrame = frame;
    }
    const answer = await send("/v1/stills", { input: input.id, at: state.at, view: TAB, settings: settings() });
    const blob = await answer.blob();
    if (mine !== painting || camera.isOn() || stage.showsFilm()) return;
    await stage.showPicture("after", blob);
    $("status").textContent = `Painted in ${((performance.now() - began) / 1000).toFixed(1)} s`;
    $("stage").dataset.painted = String(Number($("stage").dataset.painted ?? 0) + 1);
  } catch (error) {
    if (mine !== painting) return;
    const isBusy = [429, 503].includes(error.status);
    $("status").textContent = isBusy ? "The server is busy; the picture waits for it…" : "";
    // 409: two requests went over two connections, and the older one came last.
    if (!isBusy && error.status !== 409) throw error;
    soon = setTimeout(() => paintStill().catch(report), isBusy ? 2000 : 40);
    return;
  } finally {
    if (mine === painting) stage.working(false);
  }
  if (mine === painting) await styles.paintCards(input.id, state.at);
  if (mine === painting) await examine.suggest(input, TAB, EXCERPT);
}

function goTo(at) {
  leaveFilm();
  state.at = at;
  $("at").value = String(at);
  stage.showTime(at);
  timeline.takeFrom(at);
  changed();
}

// Whole films, and photos

async function paintWhole() {
  if (document.body.dataset.mode === "photo") {
    $("paint").disabled = true;
    $("status").textContent = "Painting the photo at its own size…";
    try {
      const { blob, name } = await jobs.painted(input.id, settings());
      download(blob, decodeURIComponent(name));
      $("status").textContent = `Saved as ${decodeURIComponent(name)}`;
    } finally {
      $("paint").disabled = false;
    }
    return;
  }
  await jobs.submit(input.id, settings());
  panel("jobs");
  tell("the film is being painted; you may go on, reload or close this page meanwhile", "good");
}

async function paintExcerpt() {
  const length = input.seconds ?? EXCERPT;
  const start = Math.max(Math.min(state.at, length - EXCERPT), 0);
  const wanted = { ...settings(), start: String(start.toFixed(3)), end: String(Math.min(start + EXCERPT, length).toFixed(3)) };
  if (!wanted.size && Math.min(input.width, input.height) > 480) wanted.size = "480";
  for (const name of ["codec", "crf", "preset", "pix_fmt"]) delete wanted[name];
  waiting = (await jobs.submit(input.id, wanted, "mp4")).id;
  $("status").textContent = "Painting three seconds, stabilized; they play here as soon as they are there";
}

async function showJob(job) {
  leaveCamera();
  painting++;
  stage.working(false);
  const start = Number(job.settings.start ?? 0);
  const isPicture = /\.(png|jpe?g|webp|bmp|tiff?)$/i.test(job.name);
  if (isPicture) {
    const [original, painted] = await Promise.all([fetch(job.urls.source), fetch(`${job.urls.result}?inline=1`)]);
    await stage.showPicture("before", await original.blob());
    await stage.showPicture("after", await painted.blob());
    shownFrame = "";
    return;
  }
  $("transport").hidden = false;
  const probe = make("video", { preload: "metadata", src: `${job.urls.result}?inline=1` });
  probe.onloadedmetadata = () => stage.shape(probe.videoWidth, probe.videoHeight);
  await stage.showFilm(job.urls.source, `${job.urls.result}?inline=1`, start, job.output.seconds ?? 1);
  examine.offer(job);
  $("status").textContent = `${job.name}: left of the border the original, right of it the painting`;
}

// Plays an excerpt that was stabilized beside the same painted frame by frame.
async function compare(job) {
  const start = Number(job.settings.start ?? 0);
  await stage.showFilm(`/studio/jobs/${job.id}/frame-by-frame`, `${job.urls.result}?inline=1`, start, job.output.seconds ?? 1, true);
  $("status").textContent = `${job.name}: left of the border painted frame by frame, right of it stabilized`;
}

function backToStill() {
  leaveFilm();
  if (input) {
    stage.shape(input.width, input.height);
    $("transport").hidden = input.kind !== "film";
    resetTransport();
    shownFrame = "";
    changed();
  } else {
    stage.empty();
    $("transport").hidden = true;
  }
}

async function useSettings(job) {
  const { style, strength, mask: where, start, end, ...values } = job.settings;
  const read = (value) => {
    if (typeof value === "string" || !value) return { style: value || state.style, second: "", mix: 0.5 };
    const [[first], [second, share] = ["", 0.5]] = Object.entries(value);
    return { style: first, second, mix: share };
  };
  state.values = values;
  if (style?.keys) {
    state.keys = style.keys.map((key, number) => ({ ...read(key.value), at: key.start, strength: strength?.keys?.[number]?.value ?? 1 }));
    take(state.keys[0]);
  } else {
    Object.assign(state, read(style), { keys: [] });
    if (strength !== undefined) state.values.strength = strength;
  }
  state.mask = ["", "person", "background"].includes(where ?? "") ? where ?? "" : "drawn";
  if (state.mask === "drawn") {
    state.maskUpload = where;
    await mask.restore();
  }
  mask.show();
  timeline.draw();
  changed();
}

// Camera

async function toggleCamera() {
  if (camera.isOn()) {
    leaveCamera();
    if (input) openUpload(input.id, state.key, state.at).catch(report);
    else stage.empty();
    return;
  }
  leaveFilm();
  painting++;
  styles.stopCards();
  stage.working(false);
  for (const id of ["before-image", "after-image"]) $(id).hidden = true;
  await camera.start();
  shownFrame = "";
  document.body.dataset.mode = "camera";
  $("camera-button").setAttribute("aria-pressed", "true");
  $("title").textContent = "Camera";
  $("transport").hidden = true;
  $("status").textContent = "The camera's first picture is being painted…";
  words();
}

function leaveCamera() {
  if (!camera.isOn()) return;
  camera.stop();
  $("camera-button").setAttribute("aria-pressed", "false");
  $("status").textContent = "";
  document.body.dataset.mode = input?.kind ?? "film";
  words();
}

// The page

function panel(name) {
  document.body.dataset.panel = name;
  for (const button of $("bar").children) button.setAttribute("aria-pressed", String(button.dataset.panel === name));
}

function theme() {
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
  $("theme").setAttribute("aria-label", `Colors: ${state.theme || "as the system"}`);
}

function wire() {
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    $("file").value = "";
    if (file) openFile(file).catch(report);
  });
  $("library").addEventListener("change", () => {
    const key = $("library").value;
    $("library").value = "";
    if (key) openListed(key).catch(report);
  });
  $("try-sample").addEventListener("click", () => openListed(about.files.find((one) => one.is_sample).key).catch(report));
  $("paint").addEventListener("click", () => paintWhole().catch(report));
  $("excerpt").addEventListener("click", () => paintExcerpt().catch(report));
  $("back").addEventListener("click", backToStill);
  $("show-command").addEventListener("click", () => command.show(input.id, settings()).catch(report));
  $("camera-button").addEventListener("click", () => toggleCamera().catch((error) => {
    report(error);
    if (input) backToStill();
    else stage.empty();
  }));
  $("snapshot").addEventListener("click", camera.snapshot);
  $("record").addEventListener("click", camera.record);
  $("add-key").addEventListener("click", () => {
    timeline.add();
    changed();
  });
  $("drop-key").addEventListener("click", () => {
    timeline.drop();
    changed();
  });
  $("theme").addEventListener("click", () => {
    state.theme = { "": "dark", dark: "light", light: "" }[state.theme];
    theme();
    save();
  });
  for (const button of $("bar").children) button.addEventListener("click", () => panel(button.dataset.panel));
  let depth = 0;
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (files(event) && ++depth === 1) document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (files(event) && --depth <= 0) document.body.classList.remove("dropping");
  });
  addEventListener("dragover", (event) => files(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (!file) return;
    (event.target.closest?.("#panel-styles") ? styles.takePainting(file) : openFile(file)).catch(report);
  });
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea, button, dialog, [role=slider]")) return;
    if (event.key === " " && stage.showsFilm()) {
      event.preventDefault();
      $("play").click();
    }
  });
}

function presence(here, isFirst) {
  $("gone").hidden = here;
  if (here && !isFirst) {
    styles.load().then(() => changed()).catch(report);
  }
}

async function start() {
  load();
  theme();
  about = await get("/studio/about");
  if (!localStorage.getItem("videostyle.studio")) state.style = about.style;
  $("limits").textContent = `Up to ${megabytes(about.largest_bytes)} and ${about.minutes} minutes. It stays on the computer that runs this studio.`;
  $("file").accept = about.extensions.join(",");
  styles.limit(about.learn_minutes, about.predictors);
  jobs.begin(about, {
    onShow: showJob,
    onUse: useSettings,
    onDone: (job) => {
      if (job.kind === "style") styles.load().catch(report);
      if (job.id === waiting) {
        waiting = null;
        showJob(job).catch(report);
      }
    },
  });
  const listed = about.files;
  if (listed.length) {
    $("library").append(make("option", { value: "" }, "Library"), ...listed.map((one) => make("option", { value: one.key }, one.is_sample ? "The sample film" : one.name)));
    $("library").hidden = false;
  }
  const sample = listed.find((one) => one.is_sample);
  $("try-sample").hidden = !sample;
  wire();
  stage.begin((at) => {
    state.at = at;
    timeline.takeFrom(at);
    timeline.draw();
    changed();
  });
  beginOpening(about, { leave, show, failed, hasFrame: () => shownFrame !== "" });
  timeline.begin(goTo);
  examine.begin(goTo, (job) => compare(job).catch(report));
  command.begin();
  mask.begin(changed);
  styles.begin(changed);
  const built = adjust.load(changed);
  const first = listed.find((one) => one.is_first);
  let opened = false;
  if (state.input && (!first || state.key === first.key)) {
    opened = await openUpload(state.input, state.key, state.at).then(() => true, () => false);
  }
  await built;
  await styles.load();
  words();
  adjust.show();
  if (!opened) {
    const key = first?.key ?? (listed.some((one) => one.key === state.key) ? state.key : "") ?? "";
    const place = key || sample?.key;
    state.input = "";
    if (place) await openListed(place).catch(report);
  } else {
    changed();
  }
  follow(jobs.take, presence);
}

start().catch((error) => {
  $("gone").hidden = false;
  report(error);
  setTimeout(() => location.reload(), 3000);
});
