"""ComfyUI's side of videostyle: a node that paints a batch of pictures as the frames of one film.

ComfyUI's pictures are floating-point tensors (B, H, W, C) in 0..1, its masks (B, H, W) or (H, W).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import videostyle

NONE = "none"
_WITHOUT_MOTION: dict[str, Any] = {"stabilize": 0.0, "flow": "none"}


def _styles() -> list[str]:
    return list(dict.fromkeys(entry.name for entry in videostyle.gallery()))  # each is there for several networks


def _networks() -> list[str]:
    return list(dict.fromkeys(entry.network for entry in videostyle.gallery()))


class VideostylePaint:
    """Paints a batch in the style of a painting, frame by frame, and stabilizes it like a film."""

    CATEGORY = "videostyle"
    DESCRIPTION = "Turns the frames of a film into a painting that does not flicker."
    FUNCTION = "paint"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[Any, ...]]]:  # noqa: N802 - ComfyUI's name
        """Return the inputs, as ComfyUI shows them."""
        share = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}
        return {
            "required": {
                "images": ("IMAGE",),
                "style": (_styles(),),
                "strength": ("FLOAT", {**share, "tooltip": "0 gives the picture back, 1 the full style"}),
                "stabilize": ("FLOAT", {**share, "tooltip": "1: frames of one film; 0: pictures of their own"}),
            },
            "optional": {
                "painting": ("IMAGE", {"tooltip": "a painting to take in place of the style: its code is predicted"}),
                "second_style": ([NONE, *_styles()],),
                "blend": ("FLOAT", {**share, "default": 0.5, "tooltip": "share of the second style"}),
                "mask": ("MASK", {"tooltip": "white is painted, black is left as it is"}),
                "fps": ("FLOAT", {"default": 24.0, "min": 1.0, "max": 240.0, "step": 0.01}),
                "brush": ("FLOAT", {"default": 1.0, "min": 0.25, "max": 4.0, "step": 0.05}),
                "keep_colors": ("BOOLEAN", {"default": False}),
                "network": (_networks(),),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**31 - 1}),
            },
        }

    def paint(
        self,
        images: torch.Tensor,
        style: str,
        strength: float,
        stabilize: float,
        painting: torch.Tensor | None = None,
        second_style: str = NONE,
        blend: float = 0.5,
        mask: torch.Tensor | None = None,
        fps: float = 24.0,
        brush: float = 1.0,
        keep_colors: bool = False,
        network: str = "fast",
        seed: int = 0,
    ) -> tuple[torch.Tensor]:
        """Return the painted batch; beside it and `images` some thirty frames are held."""
        with tempfile.TemporaryDirectory() as folder:
            first = style if painting is None else _saved(painting, Path(folder) / "painting.png")
            weights = {first: 1.0}
            if second_style != NONE and second_style != first and blend > 0:
                weights = {first: 1 - blend, second_style: blend} if blend < 1 else {second_style: 1.0}
            motion = {"stabilize": stabilize} if stabilize > 0 else _WITHOUT_MOTION
            settings = {"brush": brush, "keep_colors": keep_colors, "network": network, "seed": seed, **motion}
            painter = videostyle.Painter(weights, strength=strength, **settings)
            output = torch.empty_like(images, device="cpu")
            told = _progress(len(images))
            for index, frame in enumerate(painter.video(_frames(images), fps=fps)):
                output[index] = frame.permute(1, 2, 0)
                if mask is not None:
                    _leave_outside(output[index], images[index], mask, index)
                told(index + 1)
        return (output,)


def _frames(images: torch.Tensor) -> Iterator[torch.Tensor]:
    for image in images:
        yield image.permute(2, 0, 1)


def _saved(painting: torch.Tensor, path: Path) -> str:
    """Save the first picture of a batch; its name is the style."""
    from PIL import Image

    pixels = (painting[0, ..., :3].clamp(0, 1) * 255).round().to(torch.uint8)
    Image.fromarray(pixels.cpu().numpy()).save(path)
    return str(path)


def _leave_outside(painted: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, index: int) -> None:
    """Put `image` where the frame's mask is black; a mask of one picture is every frame's, and is scaled if need be."""
    masks = mask if mask.ndim == 3 else mask[None]
    own = masks[min(index, len(masks) - 1)][None, None].float()
    if own.shape[-2:] != painted.shape[:2]:
        own = torch.nn.functional.interpolate(own, painted.shape[:2], mode="bilinear", align_corners=False)
    share = own[0, 0, ..., None].to(painted)
    painted.mul_(share).add_(image.to(painted) * (1 - share))


def _progress(total: int) -> Callable[[int], None]:
    """Return a function that tells ComfyUI the number of frames done, and ends the work where its user asks for it."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
        from comfy.utils import ProgressBar
    except ImportError:  # outside ComfyUI
        return lambda done: None
    bar = ProgressBar(total)

    def tell(done: int) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(done)

    return tell


NODE_CLASS_MAPPINGS: dict[str, type] = {"VideostylePaint": VideostylePaint}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"VideostylePaint": "Paint a film (videostyle)"}
