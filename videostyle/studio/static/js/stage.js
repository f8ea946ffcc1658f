// The picture: original and painting upon each other, with a border that is moved by mouse, finger or keys.

import { $, clock } from "./dom.js";

let position = 50;
let film = null; // {start, before} in seconds while a painted film is shown: where it begins in the film, and in the one beside it
let onMoment = () => {};

export function setWipe(percent) {
  position = Math.min(Math.max(percent, 0), 100);
  $("stage").style.setProperty("--wipe", `${position}%`);
  $("wipe").setAttribute("aria-valuenow", String(Math.round(position)));
  $("wipe").setAttribute("aria-valuetext", `${Math.round(100 - position)} percent painted`);
  $("before-tag").classList.toggle("faint", position < 12);
  $("after-tag").classList.toggle("faint", position > 88);
}

const KEYS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -20, PageUp: 20, Home: -100, End: 100 };

export function begin(moment) {
  onMoment = moment;
  const stage = $("stage");
  $("wipe").addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    setWipe(position + KEYS[event.key]);
  });
  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    setWipe((100 * (event.clientX - box.left)) / box.width);
  };
  stage.addEventListener("dragstart", (event) => event.preventDefault()); // a picture is not to be carried away
  stage.addEventListener("pointerdown", (event) => {
    if ($("wipe").hidden || stage.dataset.drawing || event.button) return;
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
    drag(event);
    $("wipe").focus({ preventScroll: true });
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) drag(event);
  });
  stage.addEventListener("lostpointercapture", () => stage.classList.remove("dragging"));
  $("play").addEventListener("click", toggle);
  $("at").addEventListener("input", () => {
    const at = Number($("at").value);
    showTime(at);
    if (film) seek(at);
    else onMoment(at);
  });
  for (const name of ["play", "pause", "ended"]) $("after-film").addEventListener(name, playing);
  setInterval(keepInStep, 200);
  setWipe(50);
}

export function showTime(at) {
  $("time").textContent = clock(at);
  $("at").setAttribute("aria-valuetext", `${clock(at)} of ${clock(Number($("at").max))}`);
}

// Gives the stage the shape of a picture, and says whether there is one.
export function shape(width, height) {
  document.documentElement.style.setProperty("--ratio", String(width / height));
  $("stage").dataset.empty = "false";
  $("welcome").hidden = true;
}

export function empty() {
  leaveFilm();
  $("stage").dataset.empty = "true";
  $("welcome").hidden = false;
  for (const id of ["before-image", "after-image", "wipe"]) $(id).hidden = true;
}

const shown = { before: "", after: "" };

// Shows a picture on one side; the one before stays until it is decoded, so nothing flashes.
export async function showPicture(side, blob) {
  const address = URL.createObjectURL(blob);
  const image = $(`${side}-image`);
  const next = new Image();
  next.src = address;
  try {
    await next.decode();
  } catch {
    URL.revokeObjectURL(address);
    return;
  }
  image.src = address;
  image.hidden = false;
  if (shown[side]) URL.revokeObjectURL(shown[side]);
  shown[side] = address;
  if (side === "after") $("wipe").hidden = $("before-image").hidden;
}

export function forgetPainting() {
  $("after-image").hidden = true;
  $("wipe").hidden = true;
}

export function working(is) {
  $("stage").classList.toggle("busy", is);
}

// Plays a painted film beside the film that it was painted from, from `start` seconds of that, or beside another version.
export async function showFilm(source, result, start, seconds, isVersion = false) {
  const before = $("before-film");
  const after = $("after-film");
  film = { start, before: isVersion ? 0 : start };
  tags(isVersion ? ["frame by frame", "stabilized"] : ["original", "painted"]);
  for (const [video, address] of [[before, source], [after, result]]) {
    video.hidden = false;
    video.src = address;
    video.loop = video === after;
  }
  before.onerror = () => { before.hidden = true; };
  const ready = new Promise((resolve, reject) => {
    after.onloadeddata = resolve;
    after.onerror = () => reject(new Error("this browser cannot play that format; download it to see it"));
  });
  try {
    await ready;
  } catch (error) {
    leaveFilm();
    throw error;
  }
  $("at").min = String(start);
  $("at").max = String(start + (Number.isFinite(after.duration) ? after.duration : seconds));
  $("wipe").hidden = false;
  $("play").hidden = false;
  $("back").hidden = false;
  try {
    await after.play();
  } catch { /* a browser may want a click first */ }
}

function tags([left, right]) {
  $("before-tag").textContent = left;
  $("after-tag").textContent = right;
}

export function leaveFilm() {
  if (!film) return;
  film = null;
  tags(["original", "painted"]);
  for (const id of ["before-film", "after-film"]) {
    const video = $(id);
    video.onerror = video.onloadeddata = null;
    video.pause();
    video.hidden = true;
    video.removeAttribute("src");
    video.load();
  }
  $("play").hidden = true;
  $("back").hidden = true;
  playing();
}

export const showsFilm = () => film !== null;

function toggle() {
  const after = $("after-film");
  if (after.paused) after.play();
  else after.pause();
}

function playing() {
  const is = film !== null && !$("after-film").paused;
  $("play").textContent = is ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", is ? "Pause" : "Play");
  if (!is) $("before-film").pause();
}

function seek(at) {
  $("after-film").currentTime = at - film.start;
  $("before-film").currentTime = film.before + at - film.start;
}

// The painting is the clock; the original is hurried or held back by up to a tenth, and jumps if it is far off.
function keepInStep() {
  if (!film) return;
  const after = $("after-film");
  const before = $("before-film");
  const at = film.start + after.currentTime;
  if (document.activeElement !== $("at")) $("at").value = String(at);
  showTime(at);
  if (before.hidden || before.readyState < 2 || before.seeking) return;
  const there = film.before + after.currentTime;
  const off = there - before.currentTime;
  if (Math.abs(off) > 0.25) before.currentTime = there;
  before.playbackRate = 1 + Math.min(Math.max(off, -0.1), 0.1);
  if (!after.paused && before.paused && there < before.duration) before.play().catch(() => {});
}
