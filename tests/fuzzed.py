"""Paints films and pictures that were damaged at random, one after the other: run as a script by test_fuzz.py.

Each mutant is made from a number alone. One line of JSON on stdout tells what became of it, before the next begins, so
that whoever started this knows which one it did not survive.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import random
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from media import natural, write_film
from PIL import Image

from videostyle.cli import main
from videostyle.io.pyav import open_input

PATIENCE = 300
"""Seconds after which a mutant is taken to hang; an ordinary one takes one or two, on a busy machine."""
_MOST_BYTES = 12 * 2**30
"""Of address space, so that a hang of the machine is a failure of the mutant."""
_STRUCTURE = 1500
"""Bytes at either end, where headers and indexes are."""


def _film(path: Path, codec: str, sound: str, options: dict[str, str]) -> None:
    pictures = [natural((64, 48), "yuv420p", index) for index in range(8)]
    write_film(
        path, pictures, codec=codec, options=options, time_base=Fraction(1, 25), tone=sound, seconds=0.32,
        tags={"title": "A film"},
    )  # fmt: skip


def _subtitled(path: Path) -> None:
    """A film with sound, subtitles, chapters, a font and a cover."""
    plain = path.with_stem("plain")
    _film(plain, "libx264", "aac", {"preset": "ultrafast"})
    container = {"movie_timescale": "12800"} if path.suffix == ".mp4" else {}
    with av.open(str(plain)) as source, av.open(str(path), "w", container_options=container) as out:
        twins = {s.index: out.add_stream_from_template(s) for s in source.streams}
        text = out.add_stream("mov_text" if path.suffix == ".mp4" else "srt")
        if path.suffix == ".mkv":
            out.add_attachment("font.ttf", "application/x-truetype-font", b"no font" * 20)
        out.metadata.update(source.metadata)
        second = {"id": 1, "start": 0, "end": 160, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}
        out.set_chapters([second])
        text.codec_context.subtitle_header = (
            b"[Script Info]\nScriptType: v4.00+\n"
            b"[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
            b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        )
        text.codec_context.time_base = Fraction(1, 1000)
        out.start_encoding()
        line = av.subtitles.subtitle.SubtitleSet.create(b"0,0,Default,,0,0,0,,Hello", 0, 100)
        said = text.codec_context.encode_subtitle(line)
        said.stream, said.time_base, said.duration = text, Fraction(1, 1000), 100
        said.pts = said.dts = 100
        packets = [p for p in source.demux() if p.dts is not None]
        for packet in packets:
            packet.stream = twins[packet.stream_index]
            out.mux(packet)
        out.mux(said)
    plain.unlink()


def _pictures(path: Path, **options: object) -> None:
    random_state = np.random.default_rng(3)
    frames = [Image.fromarray(random_state.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


def _photograph(path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera", 6
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)).save(path, exif=exif)


SEEDS: dict[str, Callable[[Path], None]] = {
    "mp4": _subtitled,
    "mkv": _subtitled,
    "ts": lambda path: _film(path, "mpeg2video", "mp2", {}),
    "avi": lambda path: _film(path, "mpeg4", "mp3", {}),
    "webm": lambda path: _film(path, "libvpx", "libopus", {"deadline": "realtime", "cpu-used": "8"}),
    "gif": lambda path: _pictures(path, loop=2, duration=70),
    "png": lambda path: _pictures(path, loop=2, duration=70),
    "webp": lambda path: _pictures(path, loop=2, duration=70),
    "tif": _pictures,
    "avif": lambda path: _pictures(path, duration=70),
    "jpg": _photograph,
}
"""How an undamaged file of each format is made."""
TARGETS = {
    "mp4": ("mp4", "mkv", "gif"), "mkv": ("mkv", "mp4", "mov"), "ts": ("mp4", "mkv"), "avi": ("mp4", "mkv"),
    "webm": ("mp4", "mkv"), "gif": ("gif", "mp4"), "png": ("png", "mp4"), "webp": ("webp", "mp4"),
    "tif": ("png", "mp4"), "avif": ("png", "mp4"), "jpg": ("jpg", "png"),
}  # fmt: skip
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(whole: bytes, seed: str) -> bytes:
    """The bytes with one to six damages, which `seed` decides."""
    draw = random.Random(seed)
    data = bytearray(whole)

    def place() -> int:
        last = max(len(data) - 1, 0)
        match draw.randrange(4):
            case 0:
                return draw.randint(0, min(_STRUCTURE, last))
            case 1:
                return draw.randint(max(last - _STRUCTURE, 0), last)
            case _:
                return draw.randint(0, last)

    for _ in range(draw.randint(1, 6)):
        at, length = place(), draw.choice((1, 2, 4, 8, 40, 400))
        match draw.randrange(9):
            case 0 | 1:
                data[at : at + 1] = bytes([data[at] ^ 1 << draw.randrange(8)]) if data else b""
            case 2:
                data[at : at + length] = draw.randbytes(length)
            case 3 | 4:
                size = draw.choice((1, 2, 4, 8))
                value = draw.choice(_EXTREMES) & (2 ** (8 * size) - 1)
                data[at : at + size] = value.to_bytes(size, draw.choice(("big", "little")))
            case 5:
                del data[at : at + length]
            case 6:
                data[at:at] = data[place() :][:length]
            case 7:
                data[at : at + length] = bytes(length)
            case 8 if draw.random() < 0.5:
                del data[max(at, 1) :]
    return bytes(data)


def paint(source: Path, target: Path) -> dict[str, object]:
    """What becomes of one mutant."""
    before = source.read_bytes()
    said, told = io.StringIO(), io.StringIO()
    options = ["--style", "dots", "--strength", "0", "--stabilize", "0", "--engine", "torch", "--quiet"]
    statuses = []
    for argv in (["probe", str(source)], ["stylize", str(source), "-o", str(target), *options]):
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told):
            try:
                statuses.append(main(argv))
            except SystemExit as stop:
                statuses.append(int(stop.code or 0))
    text = said.getvalue()
    wrong = [word for word in ("unexpected", "Traceback", "Warning:") if word in text]
    if any(status not in (0, 1, 2) for status in statuses):
        wrong.append(f"exit status {statuses}")
    if any(statuses) and not text.strip():
        wrong.append("fails without a word")
    if source.read_bytes() != before:
        wrong.append("changed its source")
    left = {path.name for path in target.parent.iterdir()} - {source.name}
    if statuses[1] == 0:
        left.discard(target.name)
        wrong += _unreadable(target)
    else:
        kept = {name for name in left if ".unfinished." in name and name in text}  # as it should be
        for name in kept:
            wrong += _unreadable(target.parent / name)
        left -= kept
    wrong += [f"leaves {name}" for name in sorted(left)]
    for path in target.parent.iterdir():
        path.unlink()
    return {"wrong": wrong, "statuses": statuses, "said": text[-2000:]}


def _unreadable(path: Path) -> list[str]:
    """What is wrong with a file that was written."""
    try:
        if path.suffix in (".webp", ".png", ".jpg"):
            with Image.open(path) as picture:
                picture.load()
        else:
            with open_input(str(path)) as container:
                next(container.decode(video=0))
    except (av.FFmpegError, OSError, StopIteration, IndexError) as error:
        return [f"{path.name} cannot be read: {type(error).__name__}"]
    return []


def run(kind: str, first: int, count: int, folder: Path) -> None:
    """Paint the mutants of one format, from number `first` on."""
    seed = folder / f"seed.{kind}"
    SEEDS[kind](seed)
    whole = seed.read_bytes()
    work = folder / "work"
    work.mkdir(exist_ok=True)
    reports = sys.stdout
    sound = work / f"sound.{kind}"  # what is whole goes first, and the imports with it, which may take long
    sound.write_bytes(whole)
    assert not paint(sound, work / f"painted.{TARGETS[kind][0]}")["wrong"]
    for number in range(first, first + count):
        targets = TARGETS[kind]
        source, target = work / f"source.{kind}", work / f"painted.{targets[number % len(targets)]}"
        source.write_bytes(mutate(whole, f"{kind} {number}"))
        print(json.dumps({"number": number, "begins": True}), file=reports, flush=True)
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)
        found = paint(source, target)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"number": number, **found}), file=reports, flush=True)


if __name__ == "__main__":
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    faulthandler.enable()
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
