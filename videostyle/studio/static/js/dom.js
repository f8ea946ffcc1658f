// Small helpers of the page.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const { dataset, aria, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, dataset ?? {});
  for (const [name, value] of Object.entries(aria ?? {})) node.setAttribute(name === "role" ? name : `aria-${name}`, value);
  node.append(...children.filter((one) => one !== null && one !== undefined));
  return node;
}

export function clock(seconds, digits = 1) {
  const whole = Math.floor(seconds / 60);
  const rest = (seconds - 60 * whole).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return `${whole}:${rest}`;
}

export function span(seconds) {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 1)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function megabytes(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(Math.round(bytes / 1e6), 1)} MB`;
}

export function sentence(text) {
  const plain = String(text);
  return plain.charAt(0).toUpperCase() + plain.slice(1) + (/[.!?]$/.test(plain) ? "" : ".");
}

export function tell(text, kind = "error") {
  const toast = make("div", { className: `toast ${kind}` }, make("span", {}, sentence(text)));
  toast.append(make("button", { type: "button", onclick: () => toast.remove(), aria: { label: "Close the message" } }, "×"));
  $("toasts").append(toast);
  setTimeout(() => toast.remove(), kind === "error" ? 12_000 : 6000);
}

export function report(error) {
  if (error?.name === "AbortError" || error?.status === 409 && /newer request/.test(error.message)) return;
  tell(error?.message ?? error);
}

export function question(text, answers) {
  const dialog = $("ask");
  $("ask-text").textContent = text;
  $("ask-answers").replaceChildren(
    ...answers.map(([value, label], number) => make("button", { value, className: number ? "" : "primary" }, label)),
  );
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
