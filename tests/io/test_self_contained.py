"""Films of strangers may not name other files: playlists are refused before FFmpeg opens what they list."""

from __future__ import annotations

from pathlib import Path

import media
import pytest

from videostyle.errors import SourceError
from videostyle.io import probe
from videostyle.io.pyav import self_contained_only

PLAYLISTS = {
    "list.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_opens_no_other_file(tmp_path: Path, name: str) -> None:
    media.film(tmp_path / "secret.mp4", 4)
    (tmp_path / name).write_text(PLAYLISTS[name])
    with self_contained_only():
        with pytest.raises(SourceError, match="is not a film or picture that FFmpeg can read"):
            probe(str(tmp_path / name))
        assert probe(str(tmp_path / "secret.mp4")).width == 64
    assert probe(str(tmp_path / name)).width == 64
