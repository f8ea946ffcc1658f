// What the user has chosen: kept in the address and in the browser, so that a reload changes nothing.

const PLACE = "videostyle.studio";
const KEPT = ["input", "key", "at", "style", "second", "mix", "values", "keys", "mask", "maskUpload", "theme"];

export const state = {
  input: "", // id of the upload
  key: "", // of the studio's list, where it came from there
  at: 0,
  style: "great-wave",
  second: "",
  mix: 0.5,
  values: {}, // settings by their names in the schema; what is left out has its default
  keys: [], // of the timeline: {at, style, second, mix, strength}
  mask: "", // "", person, background or drawn
  maskUpload: "",
  theme: "",
  paintings: {}, // uploads that own styles were made of, by name
  opened: [], // uploads of the files that were opened last
  masks: [], // uploads of the masks that were drawn last
};

export function load() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch { /* damaged: begin anew */ }
  let linked = {};
  try {
    linked = JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}");
  } catch { /* an address from elsewhere */ }
  for (const name of KEPT) if (kept[name] !== undefined) state[name] = kept[name];
  for (const name of KEPT) if (linked[name] !== undefined) state[name] = linked[name];
  if (kept.paintings) state.paintings = kept.paintings;
  for (const name of ["opened", "masks"]) if (Array.isArray(kept[name])) state[name] = kept[name];
}

export function save() {
  const kept = Object.fromEntries(KEPT.map((name) => [name, state[name]]));
  try {
    localStorage.setItem(PLACE, JSON.stringify({ ...kept, paintings: state.paintings, opened: state.opened, masks: state.masks }));
  } catch { /* private windows may refuse */ }
  delete kept.theme;
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(kept))}`);
}

const blend = ({ style, second, mix }) =>
  second && mix > 0 && second !== style ? (mix >= 1 ? second : { [style]: 1 - mix, [second]: mix }) : style;

// The style, strength and so on of a moment: of the key there, or of the one before it.
export function keyAt(at) {
  return state.keys.findIndex((key) => Math.abs(key.at - at) < 0.02);
}

export function take(key) {
  Object.assign(state, { style: key.style, second: key.second, mix: key.mix });
  state.values.strength = key.strength;
}

export function snapshotKey(at) {
  return { at, style: state.style, second: state.second, mix: state.mix, strength: state.values.strength ?? 1 };
}

// Settings as the API takes them.
export function settings({ withTimeline = true, style = null } = {}) {
  const found = { ...state.values };
  if (style !== null) {
    found.style = style;
  } else if (withTimeline && state.keys.length) {
    found.style = { keys: state.keys.map((key) => ({ value: blend(key), start: key.at })) };
    found.strength = { keys: state.keys.map((key) => ({ value: key.strength, start: key.at })) };
  } else {
    found.style = blend(state);
  }
  if (state.mask === "drawn") {
    if (state.maskUpload) found.mask = state.maskUpload;
  } else if (state.mask) {
    found.mask = state.mask;
  }
  return found;
}
