// Where to paint: everywhere, people or the rest, or what is drawn with a brush.

import { removeUpload, upload } from "./api.js";
import { $, make, tell } from "./dom.js";
import { save, state } from "./state.js";

const KINDS = [["", "Everywhere"], ["person", "People"], ["background", "All but people"], ["drawn", "Draw it"]];
let onChange = () => {};
let isEmpty = true;
const MOST_SENT = 3; // masks of the last strokes that are kept; a client may have a hundred uploads

export function begin(change) {
  onChange = change;
  $("mask-kind").append(...KINDS.map(([value, text]) => make("button", {
    type: "button", dataset: { mask: value }, aria: { pressed: "false" }, onclick: () => choose(value),
  }, text)));
  const canvas = $("mask");
  let last = null;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  };
  const stroke = (event) => {
    const [x, y] = point(event);
    const pen = canvas.getContext("2d");
    pen.globalCompositeOperation = $("rub").checked ? "destination-out" : "source-over";
    pen.lineWidth = (Number($("brush-size").value) / 100) * canvas.height;
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = "#ffffff";
    pen.beginPath();
    pen.moveTo(...(last ?? [x - 0.01, y]));
    pen.lineTo(x, y);
    pen.stroke();
    last = [x, y];
    isEmpty = false;
  };
  canvas.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && stroke(event));
  canvas.addEventListener("lostpointercapture", () => {
    last = null;
    keep();
  });
  $("clear-mask").addEventListener("click", () => {
    reset();
    state.maskUpload = "";
    onChange();
  });
  show();
}

function reset() {
  const canvas = $("mask");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  isEmpty = true;
}

export function shape(width, height) {
  const canvas = $("mask");
  const scale = Math.min(960 / Math.max(width, height), 1);
  const wide = Math.round(width * scale);
  const tall = Math.round(height * scale);
  if (canvas.width !== wide || canvas.height !== tall) {
    canvas.width = wide;
    canvas.height = tall;
    isEmpty = true;
  }
}

function choose(kind) {
  state.mask = kind;
  show();
  onChange();
}

export function show() {
  for (const button of $("mask-kind").children) button.setAttribute("aria-pressed", String(button.dataset.mask === state.mask));
  const draws = state.mask === "drawn";
  $("mask").hidden = $("brush-tools").hidden = !draws;
  if (draws) $("stage").dataset.drawing = "true";
  else delete $("stage").dataset.drawing;
}

// Draws the mask that was sent before a reload.
export async function restore() {
  const id = state.maskUpload;
  reset();
  if (!id) return;
  const picture = make("img", { src: `/v1/uploads/${id}/content` });
  try {
    await picture.decode();
  } catch {
    if (id !== state.maskUpload) return;
    state.maskUpload = "";
    save();
    if (state.mask === "drawn") tell("the mask that was drawn has expired; draw it again");
    return;
  }
  if (id !== state.maskUpload || !isEmpty) return;
  const canvas = $("mask");
  const pen = canvas.getContext("2d");
  pen.globalCompositeOperation = "source-over";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const drawn = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < drawn.data.length; i += 4) {
    drawn.data[i + 3] = drawn.data[i]; // white on black becomes white on nothing
    drawn.data.fill(255, i, i + 3);
  }
  pen.putImageData(drawn, 0, 0);
  isEmpty = false;
}

// Sends what is drawn, white on black, as the picture that the settings name.
async function keep() {
  if (isEmpty) return;
  const canvas = $("mask");
  const flat = make("canvas", { width: canvas.width, height: canvas.height });
  const pen = flat.getContext("2d");
  pen.fillStyle = "#000000";
  pen.fillRect(0, 0, flat.width, flat.height);
  pen.drawImage(canvas, 0, 0);
  const blob = await new Promise((resolve) => flat.toBlob(resolve, "image/png"));
  state.maskUpload = await upload(blob, "mask.png");
  state.masks.push(state.maskUpload);
  while (state.masks.length > MOST_SENT) removeUpload(state.masks.shift()).catch(() => {}); // it expires by itself, too
  onChange();
}
