// The command line that paints the same as the page.

import { send } from "./api.js";
import { $, make, tell } from "./dom.js";

// Shows the command for an open file; `files` of this studio that the command reads can be downloaded beside it.
export async function show(input, settings) {
  const { command, files } = await (await send("/studio/command", { input, settings })).json();
  $("command-text").textContent = command;
  $("command-files").replaceChildren(...files.map((one) => make("li", {}, make("a", { href: one.url, download: one.name }, one.name))));
  $("command-beside").hidden = !files.length;
  $("command").showModal();
}

export function begin() {
  $("copy-command").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("command-text").textContent);
      tell("the command is copied", "good");
      $("command").close();
    } catch { // pages without encryption have no clipboard
      getSelection().selectAllChildren($("command-text"));
    }
  });
}
