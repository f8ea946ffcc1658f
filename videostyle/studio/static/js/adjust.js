// The settings, made from the schema of the render's own settings that the service publishes.

import { get } from "./api.js";
import { $, make } from "./dom.js";
import { names } from "./styles.js";
import { state } from "./state.js";

const MAIN = {
  strength: "Strength", stabilize: "Steadiness", brush: "Brush", keep_colors: "Keep the film's colors",
  network: "Network", size: "Size",
};
const FILMS_ONLY = new Set(["stabilize", "stabilize_mode", "flow", "statistics", "start", "end", "codec", "crf", "preset", "pix_fmt"]);
const ELSEWHERE = new Set(["style", "mask", "region"]);
const WORDS = {
  brush: (value) => `${value}×`,
  strength: (value) => `${Math.round(100 * value)} %`,
  stabilize: (value) => `${Math.round(100 * value)} %`,
};
const SIZES = [["", "as it is"], ["240", "240 lines"], ["360", "360 lines"], ["480", "480 lines"], ["720", "720 lines"], ["1080", "1080 lines"]];
const DEFAULTS = { strength: 1, stabilize: 1, brush: 1, network: "fast" };

let schema = {};
let onChange = () => {};

export async function load(change) {
  onChange = change;
  schema = (await get("/openapi.json")).components.schemas.RenderSettings.properties;
  const kinds = Object.fromEntries(Object.entries(schema).map(([name, each]) => [name, kindOf(each)]));
  $("adjust").append(mixer());
  for (const name of Object.keys(MAIN)) $("adjust").append(control(name, kinds[name], MAIN[name]));
  for (const [name, kind] of Object.entries(kinds)) {
    if (!(name in MAIN) && !ELSEWHERE.has(name) && kind) {
      const label = name.replaceAll("_", " ");
      $("more-settings").append(control(name, kind, label.charAt(0).toUpperCase() + label.slice(1)));
    }
  }
}

function kindOf(each) {
  const kinds = (each.anyOf ?? [each]).filter((one) => one.type !== "null");
  const listed = kinds.find((one) => one.enum);
  if (listed) return { type: "choice", choices: listed.enum };
  const types = kinds.map((one) => one.type);
  for (const type of ["boolean", "integer", "number", "string"]) if (types.includes(type)) return { type };
  return null;
}

function control(name, kind, label) {
  const row = make("div", { className: "setting", dataset: { setting: name } });
  if (FILMS_ONLY.has(name)) row.classList.add("films-only");
  const help = schema[name].description ?? "";
  const { minimum, maximum } = schema[name];
  const change = (value) => {
    if (value === "" || value === null) delete state.values[name];
    else state.values[name] = value;
    onChange(name);
  };
  let input;
  const out = make("output", {});
  if (name === "size" || kind.type === "choice" || name === "network") {
    const choices = name === "size" ? SIZES : name === "network" ? [["fast", "fast"], ["fine", "fine: slower, finer"], ["live", "live: faster, plainer"]] : [["", "default"], ...kind.choices.map((one) => [one, one])];
    input = make("select", { onchange: () => change(input.value) }, ...choices.map(([value, text]) => make("option", { value }, text)));
  } else if (kind.type === "boolean") {
    input = make("input", { type: "checkbox", onchange: () => change(input.checked ? true : "") });
  } else if (minimum !== undefined && maximum !== undefined && name in MAIN) {
    const step = name === "brush" ? 0.25 : 0.05;
    input = make("input", { type: "range", min: minimum, max: maximum, step, oninput: () => {
      out.textContent = WORDS[name]?.(Number(input.value)) ?? input.value;
      change(Number(input.value));
    } });
  } else if (kind.type === "number" || kind.type === "integer") {
    input = make("input", { type: "number", step: kind.type === "integer" ? 1 : "any", placeholder: "default", onchange: () => change(input.value === "" ? "" : Number(input.value)) });
    if (minimum !== undefined) input.min = minimum;
    if (maximum !== undefined) input.max = maximum;
  } else {
    input = make("input", { type: "text", placeholder: "default", onchange: () => change(input.value.trim()) });
  }
  input.id = `set-${name}`;
  const text = make("label", { htmlFor: input.id }, label);
  const tip = make("p", { className: "help", id: `help-${name}` }, help ? `${help.charAt(0).toUpperCase()}${help.slice(1)}.` : "");
  input.setAttribute("aria-describedby", tip.id);
  row.title = help;
  if (kind.type === "boolean") row.append(input, text, tip);
  else row.append(text, out, input, tip);
  return row;
}

function mixer() {
  const choice = make("select", { id: "second", onchange: () => {
    state.second = choice.value;
    onChange("second");
  } });
  const slider = make("input", { id: "mix", type: "range", min: 0, max: 1, step: 0.05, oninput: () => {
    state.mix = Number(slider.value);
    onChange("mix");
  } });
  return make("div", { className: "setting", dataset: { setting: "second" } },
    make("label", { htmlFor: "second" }, "Blend with"), make("output", { id: "mix-out" }), choice,
    make("label", { htmlFor: "mix", className: "blend-label", id: "mix-label" }, "Share of the second"), slider);
}

// Shows what is chosen, after something else than its own control has changed it.
export function show() {
  const choice = $("second");
  choice.replaceChildren(make("option", { value: "" }, "nothing"), ...names().filter((one) => one.name !== state.style).map((one) => make("option", { value: one.name }, one.title)));
  choice.value = state.second === state.style ? "" : state.second;
  $("mix").value = String(state.mix);
  for (const id of ["mix", "mix-label", "mix-out"]) $(id).hidden = !choice.value;
  $("mix-out").textContent = `${Math.round(100 * state.mix)} %`;
  for (const row of document.querySelectorAll("[data-setting]")) {
    const name = row.dataset.setting;
    const input = $(`set-${name}`);
    if (!input) continue;
    const value = state.values[name] ?? DEFAULTS[name] ?? "";
    if (input.type === "checkbox") input.checked = value === true;
    else input.value = String(value);
    if (input.type === "range") row.querySelector("output").textContent = WORDS[name]?.(Number(value)) ?? value;
  }
}
