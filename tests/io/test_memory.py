"""Films in memory behave like films on disk."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from videostyle.errors import UsageError
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.timeline import Span


def pictures() -> list[np.ndarray]:
    return [np.full((4, 6, 3), i, np.uint8) for i in range(10)]


def test_arrays_tensors_and_frames_are_all_pictures() -> None:
    arrays = list(MemorySource(pictures(), 10).frames())
    tensors = list(MemorySource([f.pixels for f in arrays], 10).frames())
    frames = list(MemorySource(arrays, 10).frames())
    for group in (arrays, tensors, frames):
        assert [f.pts * f.time_base for f in group] == [Fraction(i, 10) for i in range(10)]
        assert [int(f.pixels[0, 0, 0]) for f in group] == list(range(10))
        assert group[0].pixels.shape == (3, 4, 6)


def test_a_span_is_cut_as_from_a_file() -> None:
    source = MemorySource(pictures(), 10)
    assert [f.pts for f in source.frames(Span(Fraction(3, 10), Fraction(6, 10)))] == [3, 4, 5]


def test_endless_pictures_are_taken_one_at_a_time() -> None:
    taken = itertools.count()
    endless = (np.full((2, 2, 3), next(taken) % 256, np.uint8) for _ in itertools.count())
    with MemorySource(endless) as source:
        assert len(list(itertools.islice(source.frames(), 5))) == 5
    assert next(taken) <= 6
    assert source.info.frame_count is None


@pytest.mark.parametrize(("channels", "kind", "pix_fmt"), [(3, np.uint8, "rgb24"), (4, np.uint16, "rgba64le")])
def test_the_info_tells_depth_and_alpha(channels: int, kind: type, pix_fmt: str) -> None:
    info = MemorySource([np.zeros((4, 6, channels), kind)]).info
    assert (info.width, info.height, info.pix_fmt, info.has_alpha) == (6, 4, pix_fmt, channels == 4)


def test_no_picture_is_told() -> None:
    with pytest.raises(UsageError, match="at least one picture"):
        MemorySource([])


def test_a_sink_collects_and_knows_whether_it_was_finished() -> None:
    with MemorySink() as sink:
        for frame in MemorySource(pictures()).frames():
            sink.write(frame)
    assert sink.committed
    assert len(sink.frames) == 10
    broken = MemorySink()
    with pytest.raises(RuntimeError), broken:
        raise RuntimeError
    assert not broken.committed
    assert torch.equal(sink.frames[3].pixels, torch.full((3, 4, 6), 3, dtype=torch.uint8))
