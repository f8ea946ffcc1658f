// Runs once for the box `element`. Its content is replaced with every excerpt, so the state is kept here and applied to
// the current content; the films are synchronized with the last of them.
const state = { at: 50, left: null, right: null, all: false, playing: true };
const one = (selector) => element.querySelector(selector);
const films = () => [...element.querySelectorAll("video.layer")];

element.addEventListener("input", (event) => {
  if (event.target.matches(".at")) state.at = Number(event.target.value);
  if (event.target.matches(".seek")) {
    const last = films().at(-1);
    for (const film of films()) film.currentTime = (event.target.value / 1000) * (last.duration || 0);
  }
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".play")) state.playing = !state.playing;
  if (button.dataset.left) Object.assign(state, { left: button.dataset.left, right: button.dataset.right, all: false });
  if (button.matches(".all")) state.all = true;
});

function lay(box) {
  const names = [...box.querySelectorAll(".layer")].map((layer) => layer.dataset.version);
  if (!names.includes(state.left) || !names.includes(state.right)) [state.left, state.right] = [names[0], names.at(-1)];
  box.classList.toggle("row", state.all);
  for (const layer of box.querySelectorAll(".layer")) {
    const name = layer.dataset.version;
    const side = name === state.left ? `inset(0 ${100 - state.at}% 0 0)` : `inset(0 0 0 ${state.at}%)`;
    layer.style.clipPath = state.all ? "none" : side;
    layer.style.visibility = state.all || name === state.left || name === state.right ? "visible" : "hidden";
  }
  one(".handle").style.left = `${state.at}%`;
  one(".name.left").textContent = state.left;
  one(".name.right").textContent = state.right;
  for (const button of element.querySelectorAll("button[data-left]"))
    button.classList.toggle("on", !state.all && button.dataset.left === state.left && button.dataset.right === state.right);
  one("button.all").classList.toggle("on", state.all);
}

function step() {
  if (!element.isConnected) return;
  requestAnimationFrame(step);
  const box = one(".wipe");
  if (!box) return;
  lay(box);
  const all = films();
  if (!all.length || all.some((film) => film.readyState < 2)) return;
  const last = all.at(-1);
  if (last.ended) for (const film of all) film.currentTime = 0;
  for (const film of all) {
    if (state.playing && film.paused) film.play().catch(() => {});
    if (!state.playing && !film.paused) film.pause();
    const late = last.currentTime - film.currentTime;
    // A film that is far off, or paused, jumps; the others play a little faster or slower, which is not visible.
    if (Math.abs(late) > (state.playing ? 0.25 : 0.001) && !film.seeking) film.currentTime = last.currentTime;
    film.playbackRate = 1 + Math.max(-0.1, Math.min(0.1, late));
  }
  one(".play").textContent = state.playing ? "Pause" : "Play";
  if (document.activeElement !== one(".seek") && last.duration) one(".seek").value = (1000 * last.currentTime) / last.duration;
}

step();
