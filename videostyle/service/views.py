"""Answers of the API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from videostyle.service.records import Status


class Progress(BaseModel):
    """Progress of a job, as its worker last reported it."""

    stage: str = ""
    share: float = 0.0
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    fps: float | None = None
    seconds_left: int | None = None
    note: str = ""
    thumbnail: int | None = Field(default=None, description="frames that were done when the thumbnail was made")


class Output(BaseModel):
    """Result of a job."""

    frames: int | None = None
    seconds: float | None = Field(default=None, description="seconds of the worker's time")
    warnings: list[str] = []
    style: str | None = Field(default=None, description="name of the style that was learned")


class Urls(BaseModel):
    """Addresses of a job."""

    self: str
    events: str
    result: str | None = None
    source: str | None = None
    thumbnail: str | None = None


class JobView(BaseModel):
    """A job."""

    id: str
    kind: str
    name: str = Field(description="name of the result, or of the style")
    settings: dict[str, Any] = Field(description="as they were given")
    ahead: int | None = Field(description="jobs before it, while it waits")
    is_removed: bool = Field(description="true once its files are removed")
    status: Status
    created_at: str
    started_at: str | None
    completed_at: str | None
    expires_at: str | None
    progress: Progress
    error: str | None
    output: Output
    urls: Urls


class JobList(BaseModel):
    """A client's jobs, the newest first."""

    jobs: list[JobView]
    next: str | None = Field(description="address of the jobs before these; null if there are none")


class StyleView(BaseModel):
    """A style."""

    name: str
    network: str
    title: str
    painter: str
    year: str
    own: bool
    thumbnail: str | None


class StyleList(BaseModel):
    """The styles that a client may name."""

    styles: list[StyleView]


class UploadView(BaseModel):
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
    content: str = Field(description="address of the file itself")


class Ready(BaseModel):
    """State of the service."""

    status: str
    workers: int = 0


class Problem(BaseModel):
    """An error, as problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": Problem, "description": "an error"}}
