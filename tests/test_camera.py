"""Cameras: films at their own speed, streams that stall and come back, devices that are not there."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import media
import numpy as np
import pytest
import torch

from videostyle.errors import SourceError
from videostyle.io.camera import TICK, CameraSource, opencv_pictures
from videostyle.io.devices import device_name, is_device
from videostyle.timeline import Span


@pytest.fixture(autouse=True)
def _no_thread_is_left_alive() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def taken(camera: CameraSource, count: int | None = None, end: float | None = None) -> list[Fraction]:
    """Times of the frames a camera gives."""
    span = Span(end=None if end is None else Fraction(end))
    with camera:
        return [frame.pts * frame.time_base for frame in itertools.islice(camera.frames(span), count)]


def test_a_films_frames_come_with_the_films_times(tmp_path: Path) -> None:
    times = [0, 512, 1024, 3000, 3100, 6000]
    path = media.film(tmp_path / "a.mp4", len(times), times=times)
    found = taken(CameraSource(str(path)))
    exact = [time * Fraction(1, 12800) for time in times]
    assert all(any(abs(one - two) <= TICK / 2 for two in exact) for one in found)
    assert found == sorted(set(found))
    assert found[0] == 0


def test_a_film_takes_as_long_as_it_lasts(tmp_path: Path) -> None:
    """Not shorter: that it is not longer depends on the machine."""
    camera = CameraSource(str(media.film(tmp_path / "a.mp4", 10)))
    taken(camera)
    assert camera.captured == 10
    import time

    assert time.monotonic() - camera.started >= 9 / 25


def test_who_is_slow_gets_the_newest_picture_and_knows_what_was_dropped(tmp_path: Path) -> None:
    with CameraSource(str(media.film(tmp_path / "a.mp4", 20))) as camera:
        frames = camera.frames()
        next(frames)
        threading.Event().wait(0.5)
        second = next(frames)
        assert second.time > 0.3
        rest = list(frames)
    assert 2 + len(rest) + camera.dropped == camera.captured == 20
    assert camera.dropped > 5


class Reader:
    """Stands in for the thread that reads."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.container = ""
        self.skipped = 0

    def skip(self) -> None:
        self.skipped += 1


@pytest.mark.parametrize(("late", "skipped"), [(0.0, 0), (0.5, 12), (30.0, 0)])
def test_a_late_film_skips_a_little_and_is_held_up_for_much(tmp_path: Path, late: float, skipped: int) -> None:
    """So late is what comes after the first picture."""
    camera = CameraSource(str(media.film(tmp_path / "a.mp4", 2)))
    pictures = []
    for number in range(20):
        picture = av.VideoFrame(16, 16, "gray")
        picture.pts, picture.time_base = number, Fraction(1, 25)
        pictures.append((picture, 0.0))
    reader = Reader()
    paced = camera.paced(iter(pictures), reader, 0.0)  # type: ignore[arg-type]
    next(paced)
    camera.started -= late
    dues = [at - camera.started for _, at in paced]
    # How many more on a slow machine is not for tests to say.
    assert reader.skipped >= skipped - 1
    assert len(dues) + reader.skipped == 19
    assert dues[-1] == pytest.approx(19 / 25 + (late if late > 1 else 0), abs=0.5)


def test_a_film_begins_again(tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.mp4", 4)
    found = taken(CameraSource(str(path), loop=True), end=0.5)
    assert found[-1] > Fraction(4, 25)
    assert found == sorted(set(found))
    # One interval lies between the last frame and the first one after it.
    assert all((time * 25 - round(time * 25)) / 25 <= TICK for time in found)


def test_pictures_come_in_the_size_asked_for(tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.mp4", 3, rotation=(90.0, False, False))
    with CameraSource(str(path)) as camera:
        assert (camera.info.width, camera.info.height) == (48, 64)
        camera.scale(24, 32)
        frame = next(camera.frames())
    assert frame.pixels.shape == (3, 32, 24)
    assert frame.pixels.dtype == torch.uint8


def test_deep_and_transparent_pictures_become_plain_ones(tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.mkv", 2, pix_fmt="yuv420p10le", codec="ffv1")
    with CameraSource(str(path)) as camera:
        frame = next(camera.frames())
    assert frame.pixels.dtype == torch.uint8
    assert 60 < frame.pixels.float().mean() < 180


def test_opencv_reads_where_pyav_cannot(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    writer.write(np.full((48, 64, 3), (200, 10, 10), np.uint8))
    writer.release()
    pictures = opencv_pictures(str(path), Reader())  # type: ignore[arg-type]
    picture, _ = next(pictures)
    assert picture.shape == (48, 64, 3)
    with pytest.raises(SourceError, match="still plugged in"):
        next(pictures)
    with pytest.raises(SourceError, match="no such camera"):
        next(opencv_pictures(str(tmp_path / "none"), Reader()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("98", "98: no such camera; plug it in, or name another with --camera"),
        ("/dev/video98", "/dev/video98: no such camera"),
        ("rtsp://127.0.0.1:9/none", "the stream cannot be read .*; check the address"),
        ("http://127.0.0.1:9/none.ts", "the stream cannot be read .*; check the address"),
        ("missing.mp4", "missing.mp4: no such file"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        CameraSource(name)
    assert len(str(caught.value).splitlines()) == 1


def test_devices_are_told_from_films() -> None:
    assert is_device("0")
    assert is_device("/dev/video2")
    assert is_device("video=USB Camera")
    assert not is_device("0.mp4")
    assert not is_device("rtsp://camera/0")
    assert device_name("/dev/video2") == "/dev/video2"


# Streams


@contextmanager
def server(answers: list[bytes | None]) -> Iterator[str]:
    """A server that gives each client the next of `answers` and hangs up; None keeps it waiting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        waiting = []

        def serve() -> None:
            for answer in answers:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                client.sendall(answer or b"")
                if answer is None:
                    waiting.append(client)
                else:
                    client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for client in waiting:
                client.close()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.fixture
def stream(tmp_path: Path) -> bytes:
    return media.film(tmp_path / "a.ts", 12, codec="mpeg2video", time_base=Fraction(1, 25)).read_bytes()


def test_a_stream_that_breaks_off_is_opened_again(stream: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """And in the end it hangs, and is given up."""
    with server([stream, stream, None]) as url:
        camera = CameraSource(url, stall=1, patience=0.2)
        with (
            camera,
            pytest.raises(
                SourceError, match=r"(no picture came for 1 s|does not answer).*reconnecting failed for 0.2 s"
            ),
        ):
            list(camera.frames())
    assert [line.removeprefix(url) for line in caplog.messages[:2]] == [": the stream ended; trying again in 0.5 s"] * 2
    assert camera.captured >= 12  # the second connection's


def test_a_stream_that_says_nothing_is_not_waited_for() -> None:
    with server([None]) as url, pytest.raises(SourceError, match=r"check the address|no picture came"):
        CameraSource(url, stall=0.3)
