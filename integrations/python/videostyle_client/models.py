"""Requests and answers of the service, made by scripts/make_client.py from its OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Required, TypedDict

ROUTES = {
    "pictures_paint_picture": ("POST", "/v1/images"),
    "jobs_submit": ("POST", "/v1/jobs"),
    "jobs_jobs": ("GET", "/v1/jobs"),
    "jobs_job": ("GET", "/v1/jobs/{id}"),
    "jobs_cancel": ("DELETE", "/v1/jobs/{id}"),
    "jobs_result": ("GET", "/v1/jobs/{id}/result"),
    "jobs_source": ("GET", "/v1/jobs/{id}/source"),
    "jobs_thumbnail": ("GET", "/v1/jobs/{id}/thumbnail"),
    "jobs_events": ("GET", "/v1/jobs/{id}/events"),
    "jobs_all_events": ("GET", "/v1/events"),
    "stills_still": ("POST", "/v1/stills"),
    "stills_camera": ("POST", "/v1/camera"),
    "styles_styles": ("GET", "/v1/styles"),
    "styles_make_style": ("POST", "/v1/styles"),
    "styles_thumbnail": ("GET", "/v1/styles/{network}/{name}/thumbnail"),
    "styles_remove": ("DELETE", "/v1/styles/{network}/{name}"),
    "uploads_options": ("OPTIONS", "/v1/uploads"),
    "uploads_create": ("POST", "/v1/uploads"),
    "uploads_offset": ("HEAD", "/v1/uploads/{id}"),
    "uploads_describe": ("GET", "/v1/uploads/{id}"),
    "uploads_append": ("PATCH", "/v1/uploads/{id}"),
    "uploads_remove": ("DELETE", "/v1/uploads/{id}"),
    "uploads_content": ("GET", "/v1/uploads/{id}/content"),
    "system_health": ("GET", "/healthz"),
    "system_ready": ("GET", "/readyz"),
    "system_metrics": ("GET", "/metrics"),
}
"""Method and path of each operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Result of a job."""

    frames: int | None = None
    # seconds of the worker's time
    seconds: float | None = None
    warnings: list[str] = field(default_factory=list)
    # name of the style that was learned
    style: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error, as problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a job, as its worker last reported it."""

    stage: str = ""
    share: float = 0.0
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    fps: float | None = None
    seconds_left: int | None = None
    note: str = ""
    # frames that were done when the thumbnail was made
    thumbnail: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """State of the service."""

    status: str
    workers: int = 0


class StrengthKey(TypedDict, total=False):
    """A strength from a time on, and how long it holds; it is interpolated to the next one's."""

    value: Required[float]
    # seconds from the first frame
    start: Required[float]
    # seconds
    hold: float


class StyleKey(TypedDict, total=False):
    """A style from a time on, and how long it holds; it is interpolated to the next one's."""

    value: Required[str | dict[str, float]]
    # seconds from the first frame
    start: Required[float]
    # seconds
    hold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A style."""

    name: str
    network: str
    title: str
    painter: str
    year: str
    own: bool
    thumbnail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that is complete."""

    id: str
    name: str
    kind: Literal["film", "photo"]
    bytes: int
    width: int
    height: int
    seconds: float | None
    frames: int | None
    fps: float | None
    # address of the file itself
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Addresses of a job."""

    self: str
    events: str
    result: str | None = None
    source: str | None = None
    thumbnail: str | None = None


class Webhook(TypedDict):
    """Address that is told when the job has ended."""

    url: str


class Region(TypedDict):
    """A table of `region`."""

    style: str | dict[str, float]
    mask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job."""

    id: str
    kind: str
    # name of the result, or of the style
    name: str
    # as they were given
    settings: dict[str, Any]
    # jobs before it, while it waits
    ahead: int | None
    # true once its files are removed
    is_removed: bool
    status: Literal["starting", "processing", "succeeded", "failed", "canceled"]
    created_at: str
    started_at: str | None
    completed_at: str | None
    expires_at: str | None
    progress: Progress
    error: str | None
    output: Output
    urls: Urls


class StrengthTimeline(TypedDict):
    """A strength that changes along the film."""

    keys: list[StrengthKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleList:
    """The styles that a client may name."""

    styles: list[Style]


class StyleRequest(TypedDict, total=False):
    """A style to make of a picture."""

    name: Required[str]
    # time for learning it; 0 predicts it at once
    minutes: float
    network: str
    # the id of an upload; left out where the picture comes along
    input: str
    webhook: Webhook


class StyleTimeline(TypedDict):
    """A style that changes along the film."""

    keys: list[StyleKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """A client's jobs, the newest first."""

    jobs: list[Job]
    # address of the jobs before these; null if there are none
    next: str | None


class RenderSettings(TypedDict, total=False):
    """Settings of a render, by their names on the command line; those left out have their defaults."""

    # a name from `videostyle styles`, a picture, whose style is predicted at once, a style file, or none; several are
    # blended by their weights. With times of the film (whatever --start says) styles are interpolated linearly:
    # scream@0:05 is reached at 0:05, scream@0:05-0:09 holds until 0:09; if the next style starts just then, it is a
    # hard cut
    style: str | dict[str, float] | StyleTimeline
    # how strongly to stylize, from the film itself (0) to the full style (1); takes times as --style does
    strength: float | StrengthTimeline
    # keep the film's hues and take the style's brightness only
    keep_colors: bool
    # the style network that paints, by name
    network: str
    # size of the brush marks beside the picture: 1 as in the gallery, 2 twice as large and faster
    brush: float
    # a picture, film or sequence: paint where it is white, and leave the film where it is black; person or
    # background: paint the people only, or all but the people, whom --segmenter finds
    mask: str
    # paint in another style where FILE is white, over the regions before; each region adds a pass of the network.
    # FILE may be person or background, as for --mask
    region: list[Region]
    # soften the edges of masks by a Gaussian of this deviation, in pixels of the painted picture
    mask_feather: float
    # statistics that the network normalizes by: each frame's own, or their running mean over the shot, so that
    # brightness does not pump
    statistics: Literal["frame", "shot"]
    # seed of the noise that strokes follow: another number gives another take
    seed: int
    # network that finds the people for --mask person and background: lraspp and deeplab are torchvision's, the second
    # finer and slower; selfie is MediaPipe's, the fastest, for people near the camera
    segmenter: Literal["deeplab", "lraspp", "selfie"]
    # optical flow estimator; auto is RAFT on a GPU with weights at hand, DIS otherwise; none estimates no motion, and
    # then nothing is stabilized
    flow: Literal["auto", "dis", "none", "raft", "raft-large"]
    # weight of the previous output, warped along the optical flow: 0 stylizes each frame alone, 1 flickers least
    stabilize: float
    # causal: uses the frames before, and yields each frame at once. lookahead: uses those after it, too, which
    # flickers less, is slower and some frames late. auto: lookahead for films, causal for live sources
    stabilize_mode: Literal["auto", "causal", "lookahead"]
    # h264, hevc, av1, vp9, prores, ffv1, gif...; auto goes by the output's name
    codec: str
    # constant rate factor: lower is better and larger
    crf: int
    # the encoder's preset: how slowly it works
    preset: str
    # the encoder's pixel format, yuv420p10le for example
    pix_fmt: str
    # paint at this size: 640x360 to fit inside, aspect kept, or 360 for the short side; default: the film's own
    size: str
    # where the part to paint begins: 80, 1:20, 1m20s, or 0:01:20:12 with the number of the frame
    start: float | str
    # where the part to paint ends, written as for --start
    end: float | str


class JobRequest(TypedDict, total=False):
    """A film or a picture to paint."""

    # the id of an upload, or, where the service allows it, an address that begins with https://; left out where the
    # file comes with the request
    input: str
    settings: RenderSettings
    # extension of the result; default: the input's
    format: Literal["mp4", "m4v", "mov", "mkv", "webm", "gif", "png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp"]
    webhook: Webhook


class StillRequest(TypedDict, total=False):
    """One frame of an upload, which is painted while the client waits."""

    # the id of an upload
    input: Required[str]
    # seconds from the first frame
    at: float
    # most pixels of the short side
    lines: int
    # a view of your own, in which a newer request replaces those that wait
    view: str
    # left out, the frame is returned as it is
    settings: RenderSettings
