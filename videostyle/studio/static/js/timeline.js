// Keys of the timeline: the style, blend and strength that are fixed for moments of the film.

import { $, clock, make } from "./dom.js";
import { keyAt, snapshotKey, state, take } from "./state.js";
import { titleOf } from "./styles.js";

let onGo = () => {};

export function begin(go) {
  onGo = go;
}

export const before = (at) => [...state.keys].reverse().find((key) => key.at <= at) ?? state.keys[0];

// Takes what the key of a moment, or the one before it, has fixed.
export function takeFrom(at) {
  if (state.keys.length) take(before(at));
}

// Writes what has been chosen into the key of this moment, or into a new one.
export function note() {
  if (!state.keys.length) return;
  const at = keyAt(state.at);
  if (at >= 0) state.keys[at] = snapshotKey(state.keys[at].at);
  else if (JSON.stringify(snapshotKey(0)) !== JSON.stringify({ ...before(state.at), at: 0 })) add();
  draw();
}

export function add() {
  if (keyAt(state.at) >= 0) return;
  if (!state.keys.length && state.at > 0) state.keys.push(snapshotKey(0));
  state.keys.push(snapshotKey(state.at));
  state.keys.sort((one, other) => one.at - other.at);
}

export function drop() {
  state.keys.splice(keyAt(state.at), 1);
  if (state.keys.length === 1) state.keys = [];
  draw();
  takeFrom(state.at);
}

export function draw() {
  const length = Number($("at").max) || 1;
  const here = keyAt(state.at);
  $("keys").replaceChildren(...state.keys.map((key, number) => {
    const mark = make("button", {
      type: "button", className: "key", onclick: () => onGo(key.at),
      aria: { label: `Key at ${clock(key.at)}: ${titleOf(key.style)}, strength ${Math.round(100 * key.strength)} percent`, pressed: String(number === here) },
    });
    mark.style.setProperty("--at", `${(100 * key.at) / length}%`);
    return mark;
  }));
  $("drop-key").hidden = here < 0;
  $("add-key").hidden = here >= 0;
}
