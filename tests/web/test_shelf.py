from __future__ import annotations

from pathlib import Path

import pytest
from media import film

from videostyle.errors import UsageError
from videostyle.web.shelf import check_length, listed, within


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
    assert within(mine / "a.mp4", [mine]) == (mine / "a.mp4").resolve()
    assert within(mine / "sub" / ".." / "a.mp4", [mine]) == (mine / "a.mp4").resolve()


@pytest.mark.parametrize(
    "path", ["{mine}/../mine too/secret.mp4", "{mine}/out.mp4", "{mine}/up/secret.mp4", "/etc/passwd"]
)
def test_nothing_leads_out_of_the_folder(folders: tuple[Path, Path], path: str) -> None:
    mine, other = folders
    (mine / "out.mp4").symlink_to(other / "secret.mp4")
    (mine / "up").symlink_to(other)
    with pytest.raises(UsageError, match="is not in a folder that this page may open"):
        within(path.format(mine=mine), [mine])


def test_what_is_outside_is_not_told_to_exist(folders: tuple[Path, Path]) -> None:
    mine, other = folders
    for name in ("secret.mp4", "nothing.mp4"):
        with pytest.raises(UsageError, match="is not in a folder"):
            within(other / name, [mine])


def test_only_films_and_pictures_open(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    (mine / "list.m3u8").write_text("#EXTM3U\n")
    for name in ("list.m3u8", "missing.mp4", "."):
        with pytest.raises(UsageError, match="is no film or picture"):
            within(mine / name, [mine])


def test_the_list_has_what_may_be_opened(folders: tuple[Path, Path]) -> None:
    mine, other = folders
    (mine / "notes.txt").write_text("not a film")
    (mine / "out.mp4").symlink_to(other / "secret.mp4")
    assert listed([mine]) == [str(mine / "a.mp4")]


def test_long_uploads_are_refused(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    assert check_length(mine / "a.mp4", 1).frame_count == 2
    with pytest.raises(UsageError, match=r"a\.mp4: lasts 0\.0 minutes, 0\.0001 are allowed; cut it"):
        check_length(mine / "a.mp4", 0.0001)
