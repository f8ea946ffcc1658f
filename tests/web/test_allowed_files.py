from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import film

from videostyle.errors import UsageError
from videostyle.hosting import limits
from videostyle.hosting.limits import check_upload
from videostyle.web.allowed_files import list_films, resolve_allowed


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that may be opened, and one that may not."""
    mine, other = tmp_path / "mine", tmp_path / "mine too"
    mine.mkdir()
    other.mkdir()
    film(mine / "a.mp4", count=2)
    film(other / "secret.mp4", count=2)
    return mine, other


def test_what_is_in_the_folder_opens(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    assert resolve_allowed(mine / "a.mp4", [mine]) == (mine / "a.mp4").resolve()
    assert resolve_allowed(mine / "sub" / ".." / "a.mp4", [mine]) == (mine / "a.mp4").resolve()


@pytest.mark.parametrize(
    "path", ["{mine}/../mine too/secret.mp4", "{mine}/out.mp4", "{mine}/up/secret.mp4", "/etc/passwd"]
)
def test_nothing_leads_out_of_the_folder(folders: tuple[Path, Path], path: str) -> None:
    mine, other = folders
    (mine / "out.mp4").symlink_to(other / "secret.mp4")
    (mine / "up").symlink_to(other)
    with pytest.raises(UsageError, match="is not in a folder that this page may open"):
        resolve_allowed(path.format(mine=mine), [mine])


def test_what_is_outside_is_not_told_to_exist(folders: tuple[Path, Path]) -> None:
    mine, other = folders
    for name in ("secret.mp4", "nothing.mp4"):
        with pytest.raises(UsageError, match="is not in a folder"):
            resolve_allowed(other / name, [mine])


def test_only_films_and_pictures_open(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    (mine / "list.m3u8").write_text("#EXTM3U\n")
    for name in ("list.m3u8", "missing.mp4", "."):
        with pytest.raises(UsageError, match="is no film or picture"):
            resolve_allowed(mine / name, [mine])


def test_the_list_has_what_may_be_opened(folders: tuple[Path, Path]) -> None:
    mine, other = folders
    (mine / "notes.txt").write_text("not a film")
    (mine / "out.mp4").symlink_to(other / "secret.mp4")
    assert list_films([mine]) == [str(mine / "a.mp4")]


def test_links_that_lead_nowhere_and_folders_that_are_gone_are_left_out(folders: tuple[Path, Path]) -> None:
    mine, other = folders
    (mine / "round.mp4").symlink_to("round.mp4")
    (mine / "nowhere.mp4").symlink_to(mine / "missing.mp4")
    (mine / "folder.mp4").symlink_to(mine)
    assert list_films([other / "gone", mine]) == [str(mine / "a.mp4")]
    for name in ("round.mp4", "nowhere.mp4", "folder.mp4"):
        with pytest.raises(UsageError, match=r"is no film or picture|is not in a folder"):
            resolve_allowed(mine / name, [mine])


def test_long_uploads_are_refused(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    assert check_upload(mine / "a.mp4", 1).frame_count == 2
    with pytest.raises(UsageError, match=r"a\.mp4: lasts 0\.0 minutes or more, 0\.0001 are allowed; cut it"):
        check_upload(mine / "a.mp4", 0.0001)


def test_a_film_is_as_long_as_it_is_and_not_as_it_says(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    path = film(mine / "long.mp4", count=100)
    data = path.read_bytes()
    for box in (b"mvhd", b"mdhd", b"tkhd"):  # durations of a second, whatever the packets' times are
        at = data.index(box) + 4
        place = at + (20 if box == b"tkhd" else 16)
        length = 1000 if box != b"mdhd" else 12800
        data = data[:place] + length.to_bytes(4, "big") + data[place + 4 :]
    path.write_bytes(data)
    with pytest.raises(UsageError, match="minutes or more"):
        check_upload(path, 2 / 60)


def test_a_picture_that_claims_more_pixels_than_are_allowed_is_not_decoded(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    chunk = b"IHDR" + (60_000).to_bytes(4, "big") + (60_000).to_bytes(4, "big") + b"\x08\x02\0\0\0"
    head = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    body = zlib.compress(bytes(1_000_000))
    idat = len(body).to_bytes(4, "big") + b"IDAT" + body + zlib.crc32(b"IDAT" + body).to_bytes(4, "big")
    (mine / "bomb.png").write_bytes(head + idat + bytes(4) + b"IEND\xaeB`\x82")
    with pytest.raises(UsageError, match=r"bomb\.png: has far more pixels than the 40 million allowed"):
        check_upload(mine / "bomb.png", 1)


def test_a_picture_larger_than_is_allowed_is_not_decoded(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = folders
    cv2.imwrite(str(mine / "a.png"), np.zeros((80, 60, 3), np.uint8))
    assert check_upload(mine / "a.png", 1).width == 60
    monkeypatch.setattr(limits, "probe", None)
    monkeypatch.setattr(limits, "LARGEST", 4000)
    with pytest.raises(UsageError, match=r"a\.png: 60x80 are 0 million pixels, 0 are allowed; make it smaller"):
        check_upload(mine / "a.png", 1)
    (mine / "text.png").write_text("no picture")
    with pytest.raises(UsageError, match=r"text\.png: is no picture that can be read"):
        check_upload(mine / "text.png", 1)


def test_a_film_larger_than_is_allowed_is_not_decoded(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = folders
    monkeypatch.setattr(limits, "LARGEST", 1000)
    monkeypatch.setattr(limits, "probe", None)
    with pytest.raises(UsageError, match=r"a\.mp4: .* are allowed; make it smaller"):
        check_upload(mine / "a.mp4", 1)
