// The camera: one picture goes to the server, and the next one when that has come back painted.

import { ask } from "./api.js";
import { $, download, make, tell } from "./dom.js";
import { settings } from "./state.js";
import { shape } from "./stage.js";

const LINES = 240;
let running = null;

export const isOn = () => running !== null;

export async function start() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("this browser gives the camera to pages of this computer or of https addresses only");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 360 } }, audio: false });
  } catch {
    throw new Error("the browser did not give its camera; allow it in the address bar, and close other programs that use it");
  }
  const video = $("before-film");
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
  const mine = { stream, session: crypto.randomUUID(), times: [] };
  running = mine;
  shape(video.videoWidth, video.videoHeight);
  $("after-camera").hidden = false;
  loop(mine).catch((error) => {
    if (running === mine) {
      stop();
      tell(error.message);
    }
  });
}

async function loop(mine) {
  const video = $("before-film");
  const small = make("canvas");
  const canvas = $("after-camera");
  while (running === mine) {
    const scale = Math.min(LINES / Math.min(video.videoWidth, video.videoHeight), 1);
    small.width = Math.round(video.videoWidth * scale);
    small.height = Math.round(video.videoHeight * scale);
    small.getContext("2d").drawImage(video, 0, 0, small.width, small.height);
    const blob = await new Promise((resolve) => small.toBlob(resolve, "image/jpeg", 0.9));
    const wanted = settings({ withTimeline: false });
    for (const name of ["size", "mask", "start", "end"]) delete wanted[name];
    let answer;
    try {
      answer = await ask("/v1/camera", {
        method: "POST", body: blob,
        headers: { "Content-Type": "image/jpeg", "Videostyle-Camera": mine.session, "Videostyle-Settings": JSON.stringify(wanted) },
      });
    } catch (error) {
      if (error.status !== 0 && error.status !== 503) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000)); // the server comes back
      continue;
    }
    const picture = await createImageBitmap(await answer.blob());
    if (running !== mine) return;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    canvas.getContext("2d").drawImage(picture, 0, 0);
    $("wipe").hidden = false;
    const now = performance.now();
    mine.times = [...mine.times.filter((time) => now - time < 3000), now];
    const rate = mine.times.length > 1 ? (1000 * (mine.times.length - 1)) / (now - mine.times[0]) : 0;
    $("status").textContent = `Live: ${picture.width}×${picture.height}, ${rate.toFixed(1)} frames/s. Nothing is kept unless you record.`;
  }
}

export function stop() {
  if (!running) return;
  stopRecording();
  for (const track of running.stream.getTracks()) track.stop();
  running = null;
  $("before-film").srcObject = null;
  $("before-film").hidden = $("after-camera").hidden = true;
}

export function snapshot() {
  $("after-camera").toBlob((blob) => blob && download(blob, `camera-${stamp()}.png`), "image/png");
}

const stamp = () => new Date().toISOString().slice(0, 19).replace(/[T:]/g, "-");

export function record() {
  if (running.recorder) {
    stopRecording();
    return;
  }
  const pieces = [];
  const recorder = new MediaRecorder($("after-camera").captureStream(), { mimeType: "video/webm" });
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.onstop = () => download(new Blob(pieces, { type: "video/webm" }), `camera-${stamp()}.webm`);
  recorder.start(1000);
  running.recorder = recorder;
  $("record").setAttribute("aria-pressed", "true");
  $("record").textContent = "Stop recording";
}

function stopRecording() {
  running?.recorder?.stop();
  if (running) running.recorder = null;
  $("record").setAttribute("aria-pressed", "false");
  $("record").textContent = "Record";
}
