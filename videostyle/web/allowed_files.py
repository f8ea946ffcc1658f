"""Files that a page may open: those in chosen folders, and uploads."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

from videostyle.errors import UsageError, VideostyleError
from videostyle.io import probe
from videostyle.io.images import EXTENSIONS, is_picture
from videostyle.io.info import film_stream, open_container
from videostyle.io.names import FILMS
from videostyle.io.pyav import open_input, time_base_of
from videostyle.types import VideoInfo
from videostyle.weights import models_folder, styles_folder

LARGEST = 40_000_000
"""Pixels of an uploaded picture or a film's frame: somewhat more than 8K."""
# Files in a page's list at most; a longer one is of no help in choosing.
_LONGEST_LIST = 500


def real_path(path: str | Path) -> Path:
    """Follow every link and ..; unlike `Path.resolve`, which before Python 3.13 raises for links that go round."""
    return Path(os.path.realpath(path))


def resolve_allowed(path: str | Path, folders: Iterable[Path]) -> Path:
    """Resolve `path`, every link and .. followed; raise UsageError unless the file is in one of the folders."""
    real = real_path(path)
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        # The same message whether the file exists or not, so that a page learns nothing of what is outside.
        raise UsageError(f"{real.name}: is not in a folder that this page may open; name its folder with --folder")
    if not real.is_file() or real.suffix.lower() not in FILMS + EXTENSIONS:
        raise UsageError(f"{real.name}: is no film or picture; choose one that ends in {', '.join(FILMS + EXTENSIONS)}")
    return real


def list_films(folders: Iterable[Path]) -> list[str]:
    """List the films and pictures in the folders, not in their subfolders; links that lead outside are left out."""
    folders = list(folders)
    found = []
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue  # removed, or closed to us, since the page was started
        for path in paths:
            # Unlike Path.is_file, this raises for no link, wherever it leads.
            if path.suffix.lower() in FILMS + EXTENSIONS and os.path.isfile(path):
                real = real_path(path)
                if any(real.is_relative_to(one.resolve()) for one in folders):
                    found.append(str(path))
    return list(islice(found, _LONGEST_LIST))


def file_key(path: str) -> str:
    """Return the name under which a page asks for a file of the list: pages never see a path."""
    return f"here/{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"


def check_upload(path: Path, minutes: float) -> VideoInfo:
    """Probe an uploaded file; raise UsageError if it is larger or longer than is allowed.

    The declared values are not relied on: sizes are read before anything is decoded, and a film is as long as its
    packets last.
    """
    if is_picture(str(path)):
        _check_size(path, *_picture_size(path))
        return probe(str(path))
    with open_container(str(path)) as container:
        stream = film_stream(container, str(path))
        _check_size(path, stream.width, stream.height)
        tick = time_base_of(stream)
        first: int | None = None
        for packet in container.demux(stream):
            at = packet.pts if packet.pts is not None else packet.dts
            if at is None:
                continue
            first = at if first is None else min(first, at)
            _check_length(path, float((at - first + (packet.duration or 0)) * tick), minutes)
    info = probe(str(path))
    if info.duration is None:
        raise UsageError(f"{path.name}: does not say how long it is; convert it to MP4 first")
    _check_length(path, float(info.duration), minutes)
    return info


def _check_length(path: Path, seconds: float, minutes: float) -> None:
    if seconds > float(Fraction(minutes) * 60):
        raise UsageError(
            f"{path.name}: lasts {seconds / 60:.1f} minutes or more, {minutes:g} are allowed; "
            "cut it, or start with a larger --max-minutes"
        )


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > LARGEST:
        raise UsageError(
            f"{path.name}: {width}x{height} are {width * height / 1e6:.0f} million pixels, {LARGEST / 1e6:.0f} are "
            "allowed; make it smaller"
        )


def _picture_size(path: Path) -> tuple[int, int]:
    """Read width and height from a picture's header, before anything is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.size
    except Image.DecompressionBombError as error:
        raise UsageError(f"{path.name}: has far more pixels than the {LARGEST / 1e6:.0f} million allowed") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        pass
    try:
        with open_input(f"file:{path}") as container:
            stream = container.streams.video[0]
            if stream.width * stream.height == 0:
                raise ValueError("its header tells no size")
            return stream.width, stream.height
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise UsageError(f"{path.name}: is no picture that can be read; save it again as PNG or JPEG") from error


def without_folders(text: str, folders: Iterable[Path] = ()) -> str:
    """Return `text` without the folders of this computer: a page shows the names of files, never their folders."""
    known = [*folders, Path(tempfile.gettempdir()), Path.cwd(), Path.home(), styles_folder()]
    with suppress(VideostyleError):  # there are no models, and the text may be about that
        known.append(models_folder())
    for folder in sorted({str(one) for one in known} - {"/"}, key=len, reverse=True):
        # Subfolders are removed, too; their names may have spaces.
        text = re.sub(re.escape(folder) + r"(?:/[^/\n:'\"]*[^/\s:'\"](?=/))*/?", "", text)
    return re.sub(r"(?<![\w/.~<-])/(?:[^\s/:;,'\"<>]+/)+", "", text)
