// Opens files: checks them before they are sent, sends them, and shows them before a painter has looked at them.

import { get, removeUpload, send, upload } from "./api.js";
import { $, make, megabytes, tell } from "./dom.js";
import * as stage from "./stage.js";
import { save, state } from "./state.js";

const MOST_OPENED = 8; // files that other tabs and the browser's history may go back to
let about = null;
let acts = {}; // leave, show, failed, hasFrame
let glance = 0;

export function begin(told, given) {
  about = told;
  acts = given;
}

export async function openFile(file) {
  const suffix = `.${file.name.split(".").pop().toLowerCase()}`;
  if (!about.extensions.includes(suffix)) {
    tell(`${file.name} is no film or picture that can be read: its name should end in ${about.extensions.join(", ")}`);
    return;
  }
  if (file.size > about.largest_bytes) {
    tell(`${file.name} has ${megabytes(file.size)}; files of up to ${megabytes(about.largest_bytes)} are taken. Start the studio with a larger --max-upload`);
    return;
  }
  if (!file.size) {
    tell(`${file.name} is empty`);
    return;
  }
  acts.leave();
  showAtOnce(URL.createObjectURL(file), about.films.includes(suffix));
  $("status").textContent = `Opening ${file.name}…`;
  const id = await upload(file, file.name, (share) => {
    if (share < 1) $("status").textContent = `Opening ${file.name}: ${Math.round(100 * share)} %`;
  });
  await openUpload(id, "");
}

// Shows a film or a picture before a painter has looked at it, where the browser can.
function showAtOnce(address, isFilm) {
  const mine = ++glance;
  const draw = (source, width, height) => {
    if (mine !== glance || acts.hasFrame()) return;
    const canvas = make("canvas", { width, height });
    canvas.getContext("2d").drawImage(source, 0, 0);
    stage.shape(width, height);
    canvas.toBlob((blob) => blob && mine === glance && !acts.hasFrame() && stage.showPicture("before", blob), "image/jpeg");
  };
  if (isFilm) {
    const film = make("video", { muted: true, preload: "auto", src: address });
    film.onloadeddata = () => draw(film, film.videoWidth, film.videoHeight);
  } else {
    const picture = new Image();
    picture.onload = () => draw(picture, picture.naturalWidth, picture.naturalHeight);
    picture.src = address;
  }
}

export async function openListed(key) {
  acts.leave();
  $("status").textContent = "Opening…";
  const { id } = await (await send("/studio/open", { key })).json();
  const { name } = about.files.find((one) => one.key === key);
  showAtOnce(`/v1/uploads/${id}/content`, about.films.includes(`.${name.split(".").pop().toLowerCase()}`));
  await openUpload(id, key);
}

// Opens an upload: a new one, or with `at` the one of before again, with what was chosen for it.
export async function openUpload(id, key, at = null) {
  let told;
  try {
    told = await get(`/v1/uploads/${id}`);
  } catch (error) {
    acts.failed();
    if (at === null && error.status) removeUpload(id).catch(() => {}); // a damaged file; it expires by itself, too
    throw error;
  }
  Object.assign(state, { input: id, key, at: Math.min(at ?? 0, told.seconds ?? 0) });
  if (at === null) Object.assign(state, { keys: [], maskUpload: "" });
  forgetOlder(id);
  await acts.show(told);
}

// Removes the uploads of files that were opened long ago: a client may have a hundred. Jobs have copies of their own.
function forgetOlder(id) {
  state.opened = [...state.opened.filter((one) => one !== id), id];
  for (const old of state.opened.slice(0, -MOST_OPENED)) {
    removeUpload(old).then(() => true, (error) => error.status === 404).then((isGone) => {
      if (!isGone) return;
      state.opened = state.opened.filter((one) => one !== old);
      save();
    });
  }
}
