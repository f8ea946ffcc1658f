// Cards of the styles: how each paints the user's own frame, the picture that an own one was made of, and its name.

import { get, remove, send, upload } from "./api.js";
import { $, make, report, tell } from "./dom.js";
import { save, settings, state } from "./state.js";

let listed = [];
let onChange = () => {};
let round = 0;

const chosenNetwork = () => state.values.network ?? "fast";

export function begin(change) {
  onChange = change;
  $("painting").addEventListener("change", () => {
    const [file] = $("painting").files;
    $("painting").value = "";
    if (file) takePainting(file).catch(report);
  });
}

export async function load() {
  const network = chosenNetwork();
  const all = (await get("/v1/styles")).styles;
  listed = all.filter((one) => one.network === network);
  if (listed.length && !listed.some((one) => one.name === state.style)) state.style = listed[0].name;
  if (!listed.some((one) => one.name === state.second)) state.second = "";
  draw();
}

export const names = () => listed.map((one) => ({ name: one.name, title: one.title || one.name }));

export const titleOf = (name) => listed.find((one) => one.name === name)?.title || name;

function draw() {
  const own = listed.filter((one) => one.own);
  const others = listed.filter((one) => !one.own);
  $("styles").replaceChildren(...[...own.reverse(), ...others].map(card));
  document.querySelector("#styles .card:has(:checked)")?.scrollIntoView({ block: "nearest" });
  $("painting-label").hidden = !predictors.includes(chosenNetwork());
}

function card(one) {
  const radio = make("input", {
    type: "radio", name: "style", value: one.name, className: "hidden-input", checked: one.name === state.style,
    onchange: () => {
      state.style = one.name;
      onChange();
    },
  });
  const caption = [make("span", { className: "name" }, one.title || one.name)];
  if (one.painter) caption.push(make("span", { className: "by" }, [one.painter, one.year].filter(Boolean).join(", ")));
  if (one.own) caption.push(make("span", { className: "by" }, "your own"));
  const effect = make("img", { alt: "", loading: "lazy", src: one.thumbnail ?? "", dataset: { effect: one.name } });
  const pictures = make("span", { className: "pictures" }, effect);
  if (one.own) pictures.append(make("img", { alt: "", className: "original", src: one.thumbnail }));
  const label = make("label", { className: "card", dataset: { style: one.name } }, radio, pictures, make("span", { className: "caption" }, ...caption));
  const item = make("div", { className: "item" }, label);
  if (one.own) item.append(tools(one));
  return item;
}

function tools(one) {
  const box = make("div", { className: "item-tools" });
  if (state.paintings[one.name]) {
    box.append(make("button", { type: "button", className: "small", onclick: () => learn(one).catch(report) }, "Learn it better"));
  }
  box.append(make("button", {
    type: "button", className: "small", aria: { label: `Remove the style ${one.name}` },
    onclick: async () => {
      try {
        await remove(`/v1/styles/${one.network}/${encodeURIComponent(one.name)}`);
        delete state.paintings[one.name];
        if (state.style === one.name) state.style = listed.find((other) => other.name !== one.name).name;
        await load();
        onChange();
      } catch (error) {
        report(error);
      }
    },
  }, "Remove"));
  return box;
}

export function mark() {
  for (const radio of document.querySelectorAll("#styles input")) radio.checked = radio.value === state.style;
}

function freeName(file) {
  const stem = file.replace(/\.[^.]*$/, "").normalize("NFKD").replace(/[^\w-]+/g, "-").replace(/^[-_]+|[-_]+$/g, "").toLowerCase().slice(0, 60) || "painting";
  let name = stem;
  for (let number = 2; listed.some((one) => one.name === name); number++) name = `${stem}-${number}`;
  return name;
}

// Predicts the style of a picture: about a second, then it is a card and chosen.
export async function takePainting(file) {
  const name = freeName(file.name);
  $("status").textContent = `Looking at ${file.name}…`;
  const id = await upload(file, file.name);
  await send("/v1/styles", { name, input: id, network: chosenNetwork() });
  state.paintings[name] = id;
  state.style = name;
  save();
  await load();
  document.querySelector(`.card[data-style="${CSS.escape(name)}"]`)?.scrollIntoView({ block: "nearest" });
  onChange();
}

async function learn(one) {
  const name = freeName(`${one.name}-learned`);
  await send("/v1/styles", { name, input: state.paintings[one.name], network: one.network, minutes: Math.min(10, learnMinutes) });
  state.paintings[name] = state.paintings[one.name];
  save();
  tell(`${one.name} is learned, which takes some ${Math.min(10, learnMinutes)} minutes; you may go on meanwhile`, "good");
}

let learnMinutes = 10;
let predictors = []; // networks for which the style of a picture is predicted
export function limit(minutes, networks) {
  learnMinutes = minutes;
  predictors = networks;
}

const kept = new Map();

// Shows every style on the user's own frame, one small still after the other, the chosen ones' neighbours first.
export async function paintCards(input, at) {
  const mine = ++round;
  for (const effect of [...document.querySelectorAll("#styles img[data-effect]")]) {
    if (mine !== round) return;
    const name = effect.dataset.effect;
    const place = `${input}/${at.toFixed(2)}/${chosenNetwork()}/${name}`;
    if (!kept.has(place)) {
      const wanted = settings({ style: name });
      for (const other of ["strength", "mask", "size"]) delete wanted[other];
      try {
        const answer = await send("/v1/stills", { input, at, lines: 120, view: "cards", settings: wanted });
        kept.set(place, URL.createObjectURL(await answer.blob()));
        if (kept.size > 200) {
          const [oldest, address] = kept.entries().next().value;
          URL.revokeObjectURL(address);
          kept.delete(oldest);
        }
      } catch (error) {
        if (error.status === 409) continue; // another tab's cards
        return;
      }
    }
    if (mine === round) effect.src = kept.get(place);
    await new Promise((resolve) => setTimeout(resolve, 30)); // the large still goes first
  }
}

export function stopCards() {
  round++;
}
