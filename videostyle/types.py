"""The values that flow through a render, and the protocols of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.timeline import Span


@dataclass(frozen=True, slots=True, eq=False)
class SideData:
    """Side data of one frame, as FFmpeg attached it when decoding."""

    kinds: frozenset[str]
    """FFmpeg's names: "A53_CC" for closed captions, "DYNAMIC_HDR_PLUS"..."""
    carrier: Any = None
    """A tiny av.VideoFrame with the side data that an encoder can write; None where there is none of that."""


@dataclass(frozen=True, slots=True, eq=False)  # comparing tensors with == is never what one means
class Frame:
    """One decoded frame and its presentation time."""

    pixels: Tensor
    """(3, H, W) RGB or (4, H, W) RGB and straight alpha; uint8, or uint16 using all 16 bits when the source has
    more than 8 bits. Upright, progressive. In memory it is height, width, channel: a permuted view of what the
    decoder wrote, which OpenCV and the encoder read without a copy."""
    pts: int
    """Presentation time in units of `time_base`; kept unchanged from source to sink."""
    time_base: Fraction
    duration: int | None = None
    """Duration in units of `time_base`; None where the container does not say."""
    index: int = 0
    """Counts the frames a source has yielded, from 0."""
    is_cut: bool = False
    """True for the first frame of a shot: no state of earlier frames applies to it."""
    side_data: SideData | None = None

    @property
    def time(self) -> float:
        """Presentation time in seconds, for people; compute with `pts`."""
        return float(self.pts * self.time_base)

    def with_pixels(self, pixels: Tensor) -> Frame:
        """Return this frame with other pixels."""
        return replace(self, pixels=pixels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.pixels.shape))
        return f"Frame({shape} {self.pixels.dtype}, pts={self.pts}, time_base={self.time_base}, is_cut={self.is_cut})"

    def _repr_png_(self) -> bytes:
        """Return the picture as a notebook shows it."""
        import cv2

        order = [2, 1, 0, 3][: len(self.pixels)]
        return cv2.imencode(".png", self.pixels[order].permute(1, 2, 0).contiguous().numpy())[1].tobytes()


@dataclass(frozen=True, slots=True)
class Color:
    """Colour properties in FFmpeg's words ("bt709", "tv", "smpte2084"); "" where the film does not say."""

    space: str = ""
    range: str = ""
    primaries: str = ""
    transfer: str = ""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a container, as `videostyle probe` lists it."""

    index: int
    kind: str
    """video, audio, subtitle, data or attachment."""
    codec: str
    language: str = ""
    detail: str = ""
    """Properties in words: "48000 Hz stereo", "1280x720 yuv420p"."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a film that are known before its frames are decoded."""

    path: str
    width: int
    height: int
    """Width and height in pixels, of the upright picture that `Frame.pixels` holds after rotation."""
    time_base: Fraction
    average_rate: Fraction | None
    """Frames a second; None where the container does not say. An estimate for a variable rate."""
    frame_count: int | None
    """An estimate from the container; None where it does not say."""
    start: Fraction | None
    duration: Fraction | None
    """Seconds."""
    rotation: int
    """Degrees clockwise already applied to make `Frame.pixels` upright: 0, 90, 180 or 270."""
    sample_aspect_ratio: Fraction
    """Sample aspect ratio of the upright picture."""
    color: Color
    bit_depth: int
    has_alpha: bool
    interlaced: bool
    codec: str
    pix_fmt: str
    container: str
    streams: tuple[StreamInfo, ...] = ()
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels cut off the stored picture, left, right, top and bottom, because the container says so."""
    side_data: Mapping[str, bytes] = field(default_factory=dict)
    """Side data of the first frame, by FFmpeg's kind."""
    plays: int | None = None
    """Number of times an animated picture plays, 0 for ever; None for films."""

    def frames_in(self, span: Span) -> int | None:
        """Estimate the number of frames in a part of the film; None where the container does not tell."""
        if self.frame_count is None or not self.duration:
            return self.frame_count
        end = min(span.end or self.duration, self.duration)
        return max(round(self.frame_count * (end - span.start) / self.duration), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Optical flow from one frame to another, with its confidence mask."""

    vectors: Tensor
    """(N, 2, H, W) float32 in pixels, x then y, on the frame it starts from: other(p + vectors(p)) shows what
    frame(p) shows. For backward flow, `other` is the previous frame."""
    confidence: Tensor
    """(N, 1, H, W) float32 in 0..1; 0 where the point is occluded or outside in the other frame, or the flow fails the
    forward-backward consistency check."""


class Motion(NamedTuple):
    """The motion of one frame. The confidence masks say where the previous output may be used again."""

    backward: Flow
    """Backward flow, on this frame, to the one before it."""
    forward: Flow | None = None
    """Forward flow, on the one before, to this frame; None in causal mode."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """The temporal state that a stylizer gets beside a frame; the default is that of a single picture."""

    time: Fraction = Fraction(0)
    """Time of the frame in the film, in seconds."""
    is_cut: bool = True
    """True where a shot begins: the stylizer drops its state."""
    motion: Motion | None = None
    """Motion since the frame stylized before; None gives the network an empty prior."""
    noise: Tensor | None = None
    """(1, NOISE_CHANNELS, h, w), of any size: noise advected by the flow. None stands for zeros."""


ALONE = Moment()
"""The moment of a single picture."""


class Source(Protocol):
    """Yields frames. A source is a context manager; `frames` is read once, in one thread, while it is open."""

    info: VideoInfo
    is_live: bool
    warnings: list[str]
    """One line for each thing the user should know, such as damaged frames; complete once `frames` is exhausted."""

    def frames(self, span: Span) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NothingOpen:
    """Base class of sources that hold no file open: a context manager without effect."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Sink(Protocol):
    """Writes frames. A sink is a context manager: it commits when left normally, and otherwise leaves no file under
    the final name.
    """

    warnings: list[str]
    """One line for each stream or property of the source that was dropped."""

    def write(self, frame: Frame) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Stylizer(Protocol):
    """Stylizes frames: (N, 3, H, W) float in 0..1 to the same shape and range, of any height and width.

    A style with regions turns one frame into 1 + regions layers: its own style first, then that of each region.
    """

    recurrent: bool
    """True if it uses a moment's motion and noise."""

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor: ...

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) at which frames of this size are stylized; noise is made for it."""
        ...


@runtime_checkable
class EnlargingStylizer(Stylizer, Protocol):
    """A stylizer that paints large frames at a smaller size: films are stabilized at that size, then enlarged."""

    def stabilized_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) at which films of this size are stylized and stabilized: their own, or smaller."""
        ...

    def film_share(self, content: Tensor, time: Fraction) -> Tensor:
        """Return how much of the frame shows through each layer at `time`, (layers, 1, 1, 1) in 0..1.

        `content` is (1, 3, H, W) in 0..1, of any size.
        """
        ...

    def needs_film(self, share: Tensor) -> bool:
        """Return True if `enlarge` needs the frame for layers with this share of it."""
        ...

    def enlarge(self, layers: Tensor, size: tuple[int, int], share: Tensor, film: Tensor | None) -> Tensor:
        """Enlarge stabilized layers (N, 3, h, w) to `size` (H, W).

        `share` is that of `film_share`; `film` is the frame (1, 3, H, W) in 0..1, None if it is not needed. A layer
        that is all film is the frame bit for bit.
        """
        ...


class FlowEstimator(Protocol):
    """Estimates optical flow between two frames (N, 3, H, W) in 0..1 of the same size."""

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """Return the backward flow: on `current`, to `previous`."""
        ...


class TwoWayEstimator(FlowEstimator, Protocol):
    """A flow estimator that returns both directions: the consistency check computes them anyway."""

    def both(self, current: Tensor, previous: Tensor) -> tuple[Flow, Flow]:
        """Return the backward flow, on `current` to `previous`, and the forward flow, on `previous` to `current`."""
        ...
