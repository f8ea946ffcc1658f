from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.ops.color import keep_colors

WEIGHTS = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_lights_are_the_paintings_and_hues_the_films(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    painted, content = (torch.rand(1, 3, 8, 8, generator=generator) for _ in range(2))
    kept = keep_colors(painted, content)
    assert 0 <= kept.min() <= kept.max() <= 1
    assert torch.allclose((kept * WEIGHTS).sum(1), (painted * WEIGHTS).sum(1), atol=1e-4)
    # The order of red, green and blue is the content's wherever any colour is left.
    saturated = (kept.amax(1) - kept.amin(1)) > 1e-3
    assert torch.equal(kept.argmax(1)[saturated], content.argmax(1)[saturated])


def test_grey_films_stay_grey() -> None:
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    kept = keep_colors(torch.rand(1, 3, 8, 8), grey)
    assert (kept.amax(1) - kept.amin(1)).max() < 1e-5


def test_a_painting_of_itself_changes_nothing() -> None:
    picture = torch.rand(1, 3, 8, 8)
    assert torch.allclose(keep_colors(picture, picture), picture, atol=1e-5)
