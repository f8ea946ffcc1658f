"""An hour of a busy server in some minutes: who comes, paints, stops, leaves and damages, and what is left of it all.

    python benchmarks/soak.py [--minutes 10] [--visitors 3] [--style great-wave] [--json FILE]
        [--doc docs/notes/endurance.md]

A studio is served as a user serves it, and visited over HTTP as browsers do; beside it two `live`s record, and films
and pictures are painted by commands of their own. In the middle the server is killed and started again. Each attempt
is right where what came of it is whole: films are decoded and their frames counted, refusals must be refusals, what
was stopped or left must leave nothing. What the killed server was at is lost, and counted as that: it too must leave
nothing. Memory, descriptors and disk are those of the server: the most of them in the first half of each of its two
lives, and in the second. Linux only: reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
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
from contextlib import suppress
from datetime import date
from http.client import HTTPException
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any
from urllib.parse import quote

import av
import cv2
import numpy as np
from soak_client import (
    API,
    FRAMES,
    GROWTH,
    NOTICED,
    PATIENCE,
    Refused,
    Server,
    Wrong,
    command,
    expect,
    frames_in,
    size_of,
    visiting,
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

    def excerpt(self) -> None:
        with visiting(self.server) as visitor:
            opened = visitor.open(random.choice(self.films))
            event = self.server.event("paint", "click")
            data = self.server.values(event)
            data[2] = opened[4]["value"]  # seconds, no longer than the film
            box, _ = visitor.do(event, data)
            films = re.findall(r'src="(/media/[^"]+\.mp4)"', box)
            expect(len(films) == 3, f"{len(films)} versions are shown")
            for film in films:
                status, content = self.server.ask("GET", film)
                expect(status == 200 and len(content) > 500, f"a version is answered by {status}")

    def photo(self) -> None:
        with visiting(self.server) as visitor:
            visitor.open(self.picture)
            event = self.server.event("paint", "click")
            box, _ = visitor.do(event, self.server.values(event))
            expect(len(re.findall(r'src="/media/[^"]+\.png"', box)) == 2, "not two pictures")

    def whole(self) -> None:
        name = f"{secrets.token_hex(4)}.mp4"
        with visiting(self.server) as visitor:
            visitor.open(random.choice(self.films))
            (told,) = visitor.do(self.server.event("start", "click"), visitor.whole(name))
            expect("Done:" in told, told)
            expect(frames_in(self.server.output / name) == FRAMES, "frames are missing")
            (where,) = re.findall(r'href="(/media/[^"]+)"', told)
            expect(self.server.ask("GET", where)[0] == 200, "it cannot be downloaded")
        (self.server.output / name).unlink()

    def stop(self) -> None:
        name = f"{secrets.token_hex(4)}.mp4"
        with visiting(self.server) as visitor:
            visitor.open(random.choice(self.films))
            wait = visitor.begin(self.server.event("start", "click"), visitor.whole(name))
            time.sleep(random.random())
            visitor.press_stop()
            with suppress(Refused):
                wait()
        self._whole_or_not_there(name)

    def leave(self) -> None:
        name = f"{secrets.token_hex(4)}.mp4"
        with visiting(self.server) as visitor:
            visitor.open(random.choice(self.films))
            visitor.begin(self.server.event("start", "click"), visitor.whole(name))
        time.sleep(NOTICED)  # until then it may be painted, or wait to be
        self._whole_or_not_there(name)

    def _whole_or_not_there(self, name: str) -> None:
        """Once nothing of a job grows any more, its film is whole, or named as unfinished, or not there."""
        deadline = time.monotonic() + PATIENCE
        while (grows := list(self.server.output.glob(f".{name}*"))) and time.monotonic() < deadline:
            time.sleep(0.5)
        expect(not grows, "it still grows")
        for path in self.server.output.glob(f"{Path(name).stem}*"):
            count = frames_in(path)
            expect(count == FRAMES or "unfinished" in path.name, f"{count} frames under the final name")
            path.unlink()

    def learn(self) -> None:
        """Begin to learn a painting and leave: it goes, and so does what was learned."""
        name = f"painting-{secrets.token_hex(4)}"
        with visiting(self.server) as visitor:
            upload = visitor.upload(self.picture)
            event = self.server.event("Learn it", "click")
            visitor.begin(event, [upload, name, 5, None, False])
            time.sleep(10 * random.random())
        deadline = time.monotonic() + PATIENCE
        while (left := sorted(self.server.styles.glob(f"*{name}*"))) and time.monotonic() < deadline:
            time.sleep(0.5)
        expect(not left, f"left of what was learned: {', '.join(path.name for path in left)}")

    def damage(self) -> None:
        with visiting(self.server) as visitor:
            junk = random.choice(
                [os.urandom(200_000), b"", self.films[0].read_bytes()[:900], self.picture.read_bytes()[:99]]
            )
            name = random.choice(["junk.mp4", "junk.png", "a b\u202e.gif"])
            try:
                visitor.do(
                    self.server.event("upload", "upload"), [visitor.upload(self.folder / quote(name), content=junk)]
                )
            except Refused as refused:
                expect("unexpected" not in str(refused), str(refused))
            else:
                raise Wrong("junk was taken for a film")
            visitor.upload(self.films[2], broken=True)
            too_large = b"x" * 6_000_000
            try:
                visitor.upload(self.films[0], content=too_large)
            except (Wrong, OSError):  # the server need not wait for the end of it
                pass
            else:
                raise Wrong("more than is allowed was taken")
            told = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], "session_hash": "x"}
            told["fn_index"] = self.server.event("upload", "upload")  # type: ignore[assignment]
            kind = "application/json"
            status, _ = self.server.ask("POST", f"{API}/queue/join", json.dumps(told).encode(), content_type=kind)
            expect(status == 403, f"a path of the server's is answered by {status}")
            expect(self.server.ask("GET", f"{API}/file=/etc/passwd")[0] == 404, "a file of the server's is served")
            expect(self.server.ask("GET", "/config", Host="evil.example")[0] == 421, "another name is answered")

    # What commands do beside

    def film(self) -> None:
        output = self.folder / "film-out.mp4"
        subprocess.run(
            command("stylize", random.choice(self.films), "-o", output, "--style", self.style, "-q", "--overwrite"),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        expect(frames_in(output) == FRAMES, "frames are missing")

    def still(self) -> None:
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
        kinds = [self.excerpt, self.photo, self.whole, self.stop, self.leave, self.damage, self.learn]

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
        threads.append(threading.Thread(target=beside, args=("film or picture, by command", self.film, self.still)))
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
        time.sleep(NOTICED)
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
        """Kill the server while somebody is there, and start it again: nothing is left of the first."""
        deadline = time.monotonic() + PATIENCE
        while not self._running["visitor: whole"] and time.monotonic() < deadline:
            time.sleep(0.01)
        self._resting.clear()
        time.sleep(random.random())
        before = set(self.server.temporary.glob("videostyle-*"))
        with self._lock:
            self.life += 1
            self._tried.clear()
            self.server.process.kill()
        self.server.process.wait()
        self.attempt("server: killed, starts again, clears away", lambda: self._again(before))
        self._resting.set()

    def _again(self, before: set[Path]) -> None:
        expect(len(before) == 1, f"{len(before)} folders of one server")
        for path in self.server.output.glob("[!.]*"):
            count = frames_in(path)
            expect(count == FRAMES or "unfinished" in path.name, f"{count} frames under a final name")
        self.server.start()
        expect(not any(path.exists() for path in before), "the killed server's folder is still there")
        for folder in (self.server.output, self.server.styles):
            left = sorted(path.name for path in folder.glob(".*"))
            expect(not left, f"left by the killed server: {', '.join(left)}")
        for path in self.server.output.iterdir():  # whole, and nobody's who is there to take it away
            path.unlink()

    def end(self) -> None:
        self.server.process.send_signal(signal.SIGINT)
        try:
            status: int | None = self.server.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
            self.server.process.kill()
        expect(status == 0, f"status {status}" if status is not None else f"it does not end within {PATIENCE} s")
        expect(not list(self.server.temporary.glob("videostyle-*")), "its folder is still there")
        left = sorted(path.name for folder in (self.server.output, self.server.styles) for path in folder.iterdir())
        expect(not left, f"left among the painted films and styles: {', '.join(left)}")


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
