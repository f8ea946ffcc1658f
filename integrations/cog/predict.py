"""videostyle as a Cog model: a film or a picture in, the painted one out."""

import tempfile

from cog import BasePredictor, Input, Path

import videostyle

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


class Predictor(BasePredictor):
    """Paints with the networks that come with videostyle."""

    def setup(self) -> None:
        """Load and compile the network once, so that the first request does not wait for it."""
        videostyle.Painter("great-wave")

    def predict(
        self,
        source: Path = Input(description="Film, GIF or picture"),  # noqa: B008 - as cog wants it
        style: str = Input(description="Name of a painting of the gallery", default="great-wave"),
        painting: Path | None = Input(  # noqa: B008
            description="A painting in place of the style; its code is predicted", default=None
        ),
        strength: float = Input(description="How strongly to paint", ge=0, le=1, default=1.0),
        stabilize: float = Input(description="Weight of the previous frame", ge=0, le=1, default=1.0),
        keep_colors: bool = Input(description="Keep the film's hues", default=False),
        size: str = Input(description="Size of the output: 640x360, or 360 for the short side", default=""),
        start: str = Input(description="Start in the film: 12.5, 1:20", default=""),
        end: str = Input(description="End in the film", default=""),
    ) -> Path:
        """Return the painted film or picture."""
        suffix = source.suffix.lower()
        kept = (*PICTURES, ".gif", ".mov", ".mkv", ".webm")
        output = Path(tempfile.mkdtemp()) / f"painted{suffix if suffix in kept else '.mp4'}"
        given = {"size": size, "start": start, "end": end}
        videostyle.stylize(
            source,
            output,
            style if painting is None else str(painting),
            strength=strength,
            stabilize=0.0 if suffix in PICTURES else stabilize,
            keep_colors=keep_colors,
            **{name: value for name, value in given.items() if value},
        )
        return output
