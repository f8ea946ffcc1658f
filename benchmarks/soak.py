"""An hour of a busy server in some minutes: who comes, paints, stops, leaves and damages, and what is left of it all.

    python benchmarks/soak.py [--minutes 10] [--visitors 3] [--style great-wave] [--json FILE]
        [--doc docs/notes/endurance.md]

A studio is served as a user serves it, and asked over HTTP for what its page asks for; beside it two `live`s record,
and films and pictures are painted by commands of their own. In the middle the server is killed and started again. Each
attempt is right where what came of it is whole: films are decoded and their frames counted, refusals must be refusals,
what was stopped must leave nothing, what was left to be painted must be painted. Requests that the killed server had
not answered are lost, and counted as that; its jobs are not. Memory, descriptors and disk are those of the server's own
process: the most of them in the first half of each of its two lives, and in the second. Linux only: reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from http.client import HTTPException
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import av
import cv2
import numpy as np
from soak_client import (
    FRAMES,
    GROWTH,
    PATIENCE,
    Refused,
    Server,
    Wrong,
    command,
    expect,
    frames_in,
    size_of,
)

import videostyle
from videostyle import EncodeOptions


class Soak:
    """Everything that is tried, and what came of it."""

    def __init__(self, folder: Path, style: str) -> None:
        self.folder = folder
        self.style = style
        self.server = Server(folder, style)
        self.life = 0
        """How often the server has been killed."""
        self.lost: Counter[str] = Counter()
        """Attempts that the killed server took with it."""
        self._running: Counter[str] = Counter()
        self._left: set[str] = set()
        """Jobs whose visitors have left."""
        self._tried: set[str] = set()
        """What visitors have done in this life of the server."""
        self.attempts: Counter[str] = Counter()
        self.right: Counter[str] = Counter()
        self.errors: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()
        self._resting = threading.Event()
        self._resting.set()
        self.films = [self._film(number) for number in range(3)]
        self.picture = folder / "picture.png"
        cv2.imwrite(str(self.picture), noise(96, 72, 9))

    def _film(self, number: int) -> Path:
        path = self.folder / f"film{number}.mp4"
        frames = self.folder / f"film{number}-%02d.png"
        for one in range(FRAMES):
            cv2.imwrite(str(frames) % one, np.roll(noise(64 + 32 * number, 48, number), one, 1))
        videostyle.stylize(str(frames), str(path), "none", encode=EncodeOptions(overwrite=True))
        return path

    def attempt(self, kind: str, act: Callable[[], object], of_server: bool = False) -> None:
        """Try something, and note what comes of it. What goes wrong for want of the killed server is lost."""
        with self._lock:
            life = self.life
            self._running[kind] += of_server
        error = ""
        try:
            act()
        except (Wrong, OSError, HTTPException, ValueError, KeyError, av.FFmpegError, CalledProcessError) as failure:
            error = f"{type(failure).__name__}: {failure}"[:200]
        with self._lock:
            self._running[kind] -= of_server
            self.attempts[kind] += 1
            if of_server and life == self.life:
                self._tried.add(kind)
            if error and of_server and life != self.life:
                self.lost[kind] += 1
                return
            self.right[kind] += not error
            if error:
                self.errors[kind][error] += 1
                print(f"{kind}: {error}", file=sys.stderr, flush=True)

    # What visitors do

    def still(self) -> None:
        """Choose: a film is opened, and its frame painted again and again."""
        with self.server.uploaded(random.choice(self.films)) as id:
            told = json.loads(self.server.ask("GET", f"/v1/uploads/{id}")[1])
            expect(told["frames"] == FRAMES, f"{told['frames']} frames are seen")
            for strength in (None, 1.0, 0.5):
                settings = None if strength is None else {"style": self.style, "strength": strength}
                jpeg = self.server.send("/v1/stills", {"input": id, "at": 0.3, "view": id, "settings": settings})
                expect(decoded(jpeg).shape[0] == told["height"], "no picture of the film's size")

    def photo(self) -> None:
        with self.server.uploaded(self.picture) as id:
            painted = self.server.send("/v1/images", {"input": id, "settings": {"style": self.style}})
            expect(decoded(painted).shape == (72, 96, 3), "no picture of the photo's size")

    def _submitted(self) -> str:
        with self.server.uploaded(random.choice(self.films)) as id:
            job = json.loads(self.server.send("/v1/jobs", {"input": id, "settings": {"style": self.style}}))
        return str(job["id"])

    def whole(self) -> None:
        job = self._submitted()
        ended = self.server.ended(job)
        expect(ended["status"] == "succeeded", f"it {ended['status']}: {ended['error']}")
        _, film = self.server.ask("GET", ended["urls"]["result"])
        with tempfile.NamedTemporaryFile(suffix=".mp4", dir=self.folder) as file:
            file.write(film)
            file.flush()
            expect(frames_in(Path(file.name)) == FRAMES, "frames are missing")
        expect(self.server.ask("GET", ended["urls"]["thumbnail"])[0] == 200, "it has no picture")
        self.server.remove(job)

    def stop(self) -> None:
        job = self._submitted()
        time.sleep(random.random())
        self.server.remove(job)
        ended = self.server.ended(job)
        expect(ended["status"] in ("canceled", "succeeded"), f"it {ended['status']}: {ended['error']}")
        self.server.remove(job)
        expect(not (self.server.data / "jobs" / job).exists(), "its folder is still there")

    def leave(self) -> None:
        """Close the page: the job goes on, and is in the list of the next visit."""
        self._left.add(self._submitted())
        listed = {one["id"] for one in json.loads(self.server.ask("GET", "/v1/jobs?limit=100")[1])["jobs"]}
        expect(self._left & listed != set(), "it is not in the list")

    def learn(self) -> None:
        """Begin to learn a painting, and stop that."""
        name = f"painting-{secrets.token_hex(4)}"
        with self.server.uploaded(self.picture) as id:
            job = json.loads(self.server.send("/v1/styles", {"input": id, "name": name, "minutes": 5}))["id"]
        time.sleep(10 * random.random())
        self.server.remove(job)
        ended = self.server.ended(job)
        expect(ended["status"] in ("canceled", "failed"), f"it {ended['status']}")
        expect(name not in self.server.ask("GET", "/v1/styles")[1].decode(), "it is a style")

    def damage(self) -> None:
        junk = random.choice(
            [os.urandom(200_000), b"x", self.films[0].read_bytes()[:900], self.picture.read_bytes()[:99]]
        )
        name = random.choice(["junk.mp4", "junk.png", "a b\u202e.gif"])
        with self.server.uploaded(self.folder / name, content=junk) as id:
            for path, content in (("/v1/jobs", {"input": id}), ("/v1/stills", {"input": id, "settings": {}})):
                try:
                    self.server.send(path, content)
                except Refused as refused:
                    expect("unexpected" not in str(refused), str(refused))
                else:
                    raise Wrong("junk was taken for a film")
        with self.server.uploaded(self.films[2], broken=True) as half:
            for attempt in (
                lambda: self.server.send("/v1/jobs", {"input": half}),
                lambda: self.server.upload(self.films[0], content=b"x" * 6_000_000),
                lambda: self.server.send("/v1/stills", {"input": "/etc/passwd"}),
                lambda: self.server.send("/studio/open", {"key": "/etc/passwd"}),
            ):
                try:
                    attempt()
                except Refused:
                    continue
                raise Wrong("it was not refused")
        expect(self.server.ask("GET", "/../../etc/passwd")[0] == 404, "a file of the server's is served")
        expect(self.server.ask("GET", "/", Host="evil.example")[0] == 421, "another name is answered")

    # What commands do beside

    def film(self) -> None:
        output = self.folder / "film-out.mp4"
        subprocess.run(
            command("stylize", random.choice(self.films), "-o", output, "--style", self.style, "-q", "--overwrite"),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        expect(frames_in(output) == FRAMES, "frames are missing")

    def picture_by_command(self) -> None:
        output = self.folder / "still-out.png"
        subprocess.run(
            command("stylize", self.picture, "-o", output, "--style", self.style, "-q", "--overwrite"),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        expect(cv2.imread(str(output)) is not None, "no picture")

    def live(self, number: int) -> None:
        output = self.folder / f"live{number}.mp4"
        words = ("--headless", "--loop", "--seconds", 5, "--style", self.style, "-q", "-o", output, "--overwrite")
        subprocess.run(command("live", "--camera", self.films[0], *words), check=True, stdout=subprocess.DEVNULL)
        expect(frames_in(output) > 0, "nothing was recorded")

    # All at once

    def run(self, minutes: float, visitors: int) -> dict[str, Any]:
        """The table, as plain data."""
        end = time.monotonic() + 60 * minutes
        disk = size_of(self.folder)
        done = threading.Event()
        kinds = [self.still, self.photo, self.whole, self.stop, self.leave, self.damage, self.learn]

        def visit(number: int) -> None:
            turn = 3 * number
            while not done.is_set():
                self._resting.wait()
                act = kinds[turn % len(kinds)]
                self.attempt(f"visitor: {act.__name__}", act, of_server=True)
                turn += 1

        def beside(kind: str, *acts: Callable[[], object]) -> None:
            turn = 0
            while not done.is_set():
                self.attempt(kind, acts[turn % len(acts)])
                turn += 1

        threads = [threading.Thread(target=visit, args=(number,)) for number in range(visitors)]
        threads += [
            threading.Thread(target=beside, args=(f"live {one}", lambda one=one: self.live(one))) for one in (1, 2)
        ]
        threads.append(
            threading.Thread(target=beside, args=("film or picture, by command", self.film, self.picture_by_command))
        )
        for thread in threads:
            thread.start()
        lives, grown = [], False
        for life in range(2):
            began = time.monotonic()
            length = (end - began) / (2 - life)
            middle, last = began + length / 2, began + length

            def early(middle: float = middle, last: float = last) -> bool:
                """The first half, and longer where not every part has been used: first uses are no growth."""
                now = time.monotonic()
                return now < middle or (now < last and len(self._tried) < len(kinds))

            def late(last: float = last) -> bool:
                return time.monotonic() < last

            first = self.server.most(early)
            second = self.server.most(late)
            lives.append([first, second])
            grown |= second["memory, MB"] > GROWTH * first["memory, MB"]
            if life == 0:
                self.restart()
        done.set()
        for thread in threads:
            thread.join()
        self.attempt("what was left to be painted is painted", self.collect)
        self.attempt("server: ends, leaves nothing", self.end)
        for path in self.folder.glob("*-out.*"):
            path.unlink()
        for path in self.folder.glob("live*.mp4"):
            path.unlink()
        return {
            "attempts": {
                kind: [count, self.right[kind], self.lost[kind], dict(self.errors[kind])]
                for kind, count in self.attempts.items()
            },
            "lives": lives,
            "disk, MB": [round(disk / 1e6, 2), round(size_of(self.folder) / 1e6, 2)],
            "grown": grown,
        }

    def restart(self) -> None:
        """Kill the server while somebody is there, and start it again: its jobs go on."""
        deadline = time.monotonic() + PATIENCE
        while not self._running["visitor: whole"] and time.monotonic() < deadline:
            time.sleep(0.01)
        self._resting.clear()
        time.sleep(random.random())
        with self._lock:
            self.life += 1
            self._tried.clear()
            self.server.process.kill()
        self.server.process.wait()
        self.attempt("server: killed, starts again, knows its jobs", self._again)
        self._resting.set()

    def _again(self) -> None:
        self.server.start()
        for job in self._left:
            self.server.job(job)

    def collect(self) -> None:
        for job in self._left:
            ended = self.server.ended(job)
            expect(ended["status"] == "succeeded", f"it {ended['status']}: {ended['error']}")
            self.server.remove(job)

    def end(self) -> None:
        self.server.process.send_signal(signal.SIGINT)
        try:
            status: int | None = self.server.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
            self.server.process.kill()
        expect(status == 0, f"status {status}" if status is not None else f"it does not end within {PATIENCE} s")
        left = sorted(path.name for path in (self.server.data / "temporary").iterdir())
        expect(not left, f"left of requests: {', '.join(left)}")


def decoded(picture: bytes) -> np.ndarray[Any, Any]:
    """A picture's pixels; raise Wrong if it is none."""
    found = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        raise Wrong("no picture")
    return found


def noise(width: int, height: int, seed: int) -> np.ndarray[Any, Any]:
    """A picture with something in it."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def table(result: dict[str, Any]) -> str:
    """The result for people, in Markdown."""
    lines = [f"{result['minutes']:g} minutes, {result['visitors']} visitors at a time, {result['network']}:", ""]
    lines += ["| what | attempts | right | lost at the restart | errors |", "| --- | --- | --- | --- | --- |"]
    for kind, (count, right, lost, errors) in sorted(result["attempts"].items()):
        told = "; ".join(f"{number} x {error}" for error, number in errors.items())
        lines.append(f"| {kind} | {count} | {right} | {lost} | {told or '-'} |")
    sums = [sum(row[column] for row in result["attempts"].values()) for column in range(3)]
    lines.append(f"| together | {sums[0]} | {sums[1]} | {sums[2]} | {sums[0] - sums[1] - sums[2]} |")
    (early, late), (early2, late2) = result["lives"]
    lines += [
        "",
        "| of the server | first life, early | late | second life, early | late |",
    ]
    lines.append("| --- | --- | --- | --- | --- |")
    lines += [f"| {what} | {early[what]:g} | {late[what]:g} | {early2[what]:g} | {late2[what]:g} |" for what in early]
    before, after = result["disk, MB"]
    lines += ["", f"Disk of all together: {before:g} MB before, {after:g} MB after."]
    return "\n".join(lines) + "\n"


def into(document: Path, text: str) -> None:
    """Put the tables in place of those between the document's two marks."""
    before, begin, rest = document.read_text(encoding="utf-8").partition("<!-- soak -->\n")
    _, end, after = rest.partition("<!-- end of soak -->")
    if not begin or not end:
        raise SystemExit(f"{document}: has no marks between which the tables could go")
    document.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # A server that is started where interrupts are ignored, in the background of a shell, would ignore ours, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--visitors", type=int, default=3, help="at a time; default: %(default)s")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--doc", type=Path, help="put the tables between the marks of this document")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        soak = Soak(folder, args.style)
        try:
            found = soak.run(args.minutes, args.visitors)
        finally:
            soak.server.process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"videostyle": videostyle.__version__},
        "minutes": args.minutes,
        "visitors": args.visitors,
        "network": "another network" if "VIDEOSTYLE_MODELS" in os.environ else "the shipped network",
        **found,
    }
    text = table(result)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.doc:
        into(args.doc, text)
    wrong = any(count != right + lost for count, right, lost, _ in found["attempts"].values())
    sys.exit(wrong or found["grown"])


if __name__ == "__main__":
    main()
