"""The values that flow through a render, and the protocols of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.plan import Span


@dataclass(frozen=True, slots=True, eq=False)
class SideData:
    """What a film says beside the pixels of one picture, as FFmpeg attached it when decoding."""

    kinds: frozenset[str]
    """FFmpeg's names: "A53_CC" for closed captions, "DYNAMIC_HDR_PLUS"..."""
    carrier: Any = None
    """A tiny av.VideoFrame with the side data that an encoder can write; None where there is none of that."""


@dataclass(frozen=True, slots=True, eq=False)  # comparing tensors with == is never what one means
class Frame:
    """One decoded picture and when to show it."""

    pixels: Tensor
    """(3, H, W) RGB or (4, H, W) RGB and straight alpha; uint8, or uint16 using all 16 bits when the source has
    more than 8 bits. Upright, progressive. In memory it is height, width, channel: a permuted view of what the
    decoder wrote, which OpenCV and the encoder read without a copy."""
    pts: int
    """Presentation time in units of `time_base`; kept unchanged from source to sink."""
    time_base: Fraction
    duration: int | None = None
    """In units of `time_base`; None where the container does not say."""
    index: int = 0
    """Counts the frames a source has yielded, from 0."""
    is_cut: bool = False
    """The first frame of a shot: nothing remembered from earlier frames applies to it."""
    side_data: SideData | None = None

    @property
    def time(self) -> float:
        """Presentation time in seconds, for people; compute with `pts`."""
        return float(self.pts * self.time_base)

    def with_pixels(self, pixels: Tensor) -> Frame:
        """The same moment with another picture."""
        return replace(self, pixels=pixels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.pixels.shape))
        return f"Frame({shape} {self.pixels.dtype}, pts={self.pts}, time_base={self.time_base}, is_cut={self.is_cut})"


@dataclass(frozen=True, slots=True)
class Color:
    """How a film's numbers mean colours, in FFmpeg's words ("bt709", "tv", "smpte2084"); "" where it does not say."""

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
    """For people: "48000 Hz stereo", "1280x720 yuv420p"."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a film before its frames are decoded."""

    path: str
    width: int
    height: int
    """Of the upright picture that `Frame.pixels` holds, after rotation."""
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
    """Of the upright picture."""
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
    """What is attached to the first picture, by FFmpeg's kind."""
    plays: int | None = None
    """How often an animated picture plays, 0 for ever; None for films."""

    def frames_in(self, span: Span) -> int | None:
        """Frames in a part of the film, as far as the container tells."""
        if self.frame_count is None or not self.duration:
            return self.frame_count
        end = min(span.end or self.duration, self.duration)
        return max(round(self.frame_count * (end - span.start) / self.duration), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Where each pixel of a frame was in the frame before it."""

    backward: Tensor
    """(N, 2, H, W) float32 in pixels, x then y, from the current frame to the previous:
    previous(p + backward(p)) shows what current(p) shows."""
    confidence: Tensor
    """(N, 1, H, W) float32 in 0..1; 0 where the point was hidden, outside, or the estimate contradicts itself."""


class Motion(NamedTuple):
    """How one frame moved. The confidences say where what was painted before still applies."""

    back: Flow
    """On this frame, to the one before it."""
    ahead: Flow | None = None
    """On the one before, to this frame; None where nobody looks ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What a stylizer is told of a frame beside its pixels; by default, a picture that stands alone."""

    time: Fraction = Fraction(0)
    """In the film, in seconds."""
    is_cut: bool = True
    """Nothing that is remembered of earlier frames may be used."""
    motion: Motion | None = None
    """Since the frame stylized before; None gives the network an empty prior."""
    noise: Tensor | None = None
    """(1, NOISE_CHANNELS, h, w), of any size: noise that moves with the surfaces. None stands for zeros."""


ALONE = Moment()
"""A picture that stands alone."""


class Source(Protocol):
    """Frames from somewhere. A context manager; `frames` is read once, in one thread, while it is open."""

    info: VideoInfo
    is_live: bool
    warnings: list[str]
    """What the user should know of: damaged frames skipped, for example. Complete once `frames` is exhausted."""

    def frames(self, span: Span) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NothingOpen:
    """A base of sources that hold no file open: a context manager that has nothing to do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Sink(Protocol):
    """Frames to somewhere. A context manager: commits when left normally, keeps nothing under the final name else."""

    warnings: list[str]
    """What could not be carried over: one line for each stream or property dropped."""

    def write(self, frame: Frame) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Stylizer(Protocol):
    """Paints pictures: (N, 3, H, W) float in 0..1 to the same shape and range, of any height and width.

    A style with regions paints one picture into 1 + regions: in its own style, then in that of each region.
    """

    recurrent: bool
    """Whether it makes use of a moment's motion and noise."""

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor: ...

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) at which pictures of this size are stylized; noise is made for it."""
        ...


class FlowEstimator(Protocol):
    """Estimates motion from two pictures (N, 3, H, W) in 0..1 of the same size."""

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """On `current`, to `previous`."""
        ...


class TwoWayEstimator(FlowEstimator, Protocol):
    """One that finds both directions anyway, for each tells where the other can be believed."""

    def both(self, current: Tensor, previous: Tensor) -> tuple[Flow, Flow]:
        """On `current` to `previous`, and on `previous` to `current`."""
        ...
