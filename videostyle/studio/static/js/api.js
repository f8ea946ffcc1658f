// Requests to the service, each of which throws an Error with the server's own sentence.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the server does not answer");
  }
  if (answer.ok) return answer;
  let detail = `the server answered ${answer.status}`;
  try {
    detail = (await answer.json()).detail ?? detail;
  } catch { /* no problem details: the status has to do */ }
  throw new Refused(answer.status, detail);
}

export const get = async (path) => (await ask(path)).json();

export const send = (path, content, options = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), ...options });

export const remove = (path) => ask(path, { method: "DELETE" });

const TUS = { "Tus-Resumable": "1.0.0" };
const PIECE = 8_000_000;

export const removeUpload = (id) => ask(`/v1/uploads/${id}`, { method: "DELETE", headers: TUS });

// Sends a file by tus, in pieces; goes on after a broken connection where the server has got to.
export async function upload(file, name, onShare = () => {}) {
  const encoded = btoa(String.fromCharCode(...new TextEncoder().encode(name)));
  const made = await ask("/v1/uploads", {
    method: "POST",
    headers: { ...TUS, "Upload-Length": String(file.size), "Upload-Metadata": `filename ${encoded}` },
  });
  const where = made.headers.get("Location");
  let offset = 0;
  let failures = 0;
  while (offset < file.size) {
    try {
      const answer = await ask(where, {
        method: "PATCH",
        headers: { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" },
        body: file.slice(offset, offset + PIECE),
      });
      offset = Number(answer.headers.get("Upload-Offset"));
      failures = 0;
      onShare(offset / file.size);
    } catch (error) {
      if (![0, 400, 409, 423].includes(error.status) || ++failures > 60) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      try {
        const told = await ask(where, { method: "HEAD", headers: TUS });
        offset = Number(told.headers.get("Upload-Offset"));
      } catch (again) {
        if (again.status !== 0) throw again;
      }
    }
  }
  return where.split("/").pop();
}

// Follows all jobs; tells when the server is gone, and comes back by itself.
export function follow(onJobs, onPresence) {
  let source;
  let here = null;
  const present = (now) => {
    if (now !== here) onPresence(now, here === null);
    here = now;
  };
  const begin = () => {
    source = new EventSource("/v1/events");
    source.addEventListener("jobs", (event) => {
      present(true);
      onJobs(JSON.parse(event.data).jobs);
    });
    source.onopen = () => present(true);
    source.onerror = () => {
      present(false);
      source.close();
      setTimeout(begin, 1500);
    };
  };
  begin();
}
