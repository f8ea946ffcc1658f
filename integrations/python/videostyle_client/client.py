"""Client of the videostyle service: a method for each of its operations, and those that go on after a broken line."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import TracebackType, UnionType
from typing import IO, Any, Self, TypeVar, Union, Unpack, get_args, get_origin, get_type_hints
from urllib.parse import quote

import httpx2 as httpx

from videostyle_client.models import ROUTES, Job, JobList, Ready, RenderSettings, Style, StyleList, Upload

T = TypeVar("T")

_BLOCK = 1 << 20
_TRIES = 5
_TUS = {"Tus-Resumable": "1.0.0"}
OVER = ("succeeded", "failed", "canceled")
"""Statuses of a job in which nothing changes any more."""


class ServiceError(Exception):
    """A request that the service refused; the message is its sentence."""

    def __init__(self, status: int, detail: str, request_id: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        """HTTP status of the answer; 0 for a job that failed."""
        self.request_id = request_id
        """Id by which the service's log has the request."""
        self.retry_after = retry_after
        """Seconds after which another try may succeed, where the service says so."""


class Client:
    """A client of one service, for one thread at a time; a context manager, which closes its connections."""

    def __init__(
        self, address: str = "http://127.0.0.1:8000", key: str | None = None, *, timeout: float = 300.0
    ) -> None:
        """Take the address of the service, a key of it where it wants one, and the longest wait for an answer."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Pictures

    def paint(
        self,
        picture: Path | str,
        output: Path | str | None = None,
        *,
        style_file: Path | str | None = None,
        mask_file: Path | str | None = None,
        format: str | None = None,
        **settings: Unpack[RenderSettings],
    ) -> bytes:
        """Paint a picture, and return the file, which is written to `output` where that is given."""
        with _Form(style=style_file, mask=mask_file, file=picture) as files:
            data = _given(settings=json.dumps(settings), format=format)
            answer = self._send("pictures_paint_picture", files=files, data=data)
        if output is not None:
            Path(output).write_bytes(answer.content)
        return answer.content

    # Films

    def paint_film(
        self,
        film: Path | str,
        output: Path | str,
        *,
        style_file: Path | str | None = None,
        mask_file: Path | str | None = None,
        on_progress: Callable[[Job], None] = lambda job: None,
        **settings: Unpack[RenderSettings],
    ) -> Job:
        """Send a film, wait until it is painted, and write the result to `output`; raise ServiceError if it failed."""
        suffix = Path(output).suffix.removeprefix(".").lower()
        job = self.submit(
            self.upload(film), style_file=style_file, mask_file=mask_file, format=suffix or None, **settings
        )
        job = self.wait(job.id, on_progress)
        if job.status != "succeeded":
            raise ServiceError(0, job.error or f"the job was {job.status}")
        self.download(job.id, output)
        return job

    def submit(
        self,
        film: Path | str,
        *,
        style_file: Path | str | None = None,
        mask_file: Path | str | None = None,
        format: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        **settings: Unpack[RenderSettings],
    ) -> Job:
        """Submit a film, or a picture that nobody waits for, and return its job.

        A Path comes along with the request; text is the id of an upload, or an address where the service allows it.
        Where the line breaks the request is sent again, with the same key: it is one job.
        """
        where = None if isinstance(film, Path) else film
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}

        def send() -> httpx.Response:
            with _Form(style=style_file, mask=mask_file, file=film if isinstance(film, Path) else None) as files:
                if files:
                    data = _given(input=where, settings=json.dumps(settings), format=format, webhook=webhook)
                    return self._send("jobs_submit", files=files, data=data, headers=headers)
                hook = {"url": webhook} if webhook else None
                request = _given(input=where, settings=settings, format=format, webhook=hook)
                return self._send("jobs_submit", json=request, headers=headers)

        return _read(Job, _persistently(send).json())

    def job(self, id: str) -> Job:
        """Return a job as it is now."""
        return _read(Job, self._send("jobs_job", id=id).json())

    def jobs(self, limit: int = 20, before: str | None = None) -> list[Job]:
        """List your jobs, the newest first: up to `limit`, those submitted before the job `before`."""
        answer = self._send("jobs_jobs", params=_given(limit=limit, before=before))
        return _read(JobList, answer.json()).jobs

    def cancel(self, id: str) -> Job:
        """Cancel a job; remove the result of one that is over."""
        return _read(Job, self._send("jobs_cancel", id=id).json())

    def events(self, id: str) -> Iterator[Job]:
        """Yield a job whenever it has changed, the last time when it is over."""
        method, path = _route("jobs_events", id=id)
        with self._http.stream(method, path) as answer:
            _check(answer)
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield _read(Job, json.loads(line.removeprefix("data: ")))

    def wait(self, id: str, on_progress: Callable[[Job], None] = lambda job: None) -> Job:
        """Return a job when it is over, however it ended; a broken connection is made again."""

        def follow() -> Job:
            while True:
                for job in self.events(id):
                    on_progress(job)
                    if job.status in OVER:
                        return job
                time.sleep(1)  # the service is ending; its next start takes up every job

        return _persistently(follow)

    def download(self, id: str, output: Path | str) -> None:
        """Write the result of a job to a file, which has its name when it is whole."""
        partial = Path(output).with_name(f".{Path(output).name}.partial")

        def receive() -> None:
            method, path = _route("jobs_result", id=id)
            with self._http.stream(method, path) as answer, partial.open("wb") as file:
                _check(answer)
                for block in answer.iter_bytes(_BLOCK):
                    file.write(block)

        try:
            _persistently(receive)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)

    # Uploads

    def upload(self, file: Path | str, on_bytes: Callable[[int], None] = lambda sent: None) -> str:
        """Send a file that may be large, and return the id of the upload; a broken connection is made again."""
        path = Path(file)
        size = path.stat().st_size
        name = base64.b64encode(path.name.encode()).decode()
        made = self._send(
            "uploads_create", headers={**_TUS, "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        )
        id = made.headers["location"].rpartition("/")[2]

        def go_on() -> None:
            sent = int(self._send("uploads_offset", id=id, headers=_TUS).headers["upload-offset"])
            headers = {**_TUS, "Upload-Offset": str(sent), "Content-Type": "application/offset+octet-stream"}
            with path.open("rb") as opened:
                opened.seek(sent)
                self._send("uploads_append", id=id, headers=headers, content=_blocks(opened, sent, on_bytes))

        if size:
            _persistently(go_on)
        return id

    def describe_upload(self, id: str) -> Upload:
        """Return the size and length of a complete upload."""
        return _read(Upload, self._send("uploads_describe", id=id).json())

    def still(
        self, upload: str, at: float = 0.0, *, lines: int | None = None, **settings: Unpack[RenderSettings]
    ) -> bytes:
        """Return the frame of an upload at a time in seconds, painted, as a JPEG: a proof before the film."""
        request = _given(input=upload, at=at, lines=lines, settings=settings)
        return self._send("stills_still", json=request).content

    def remove_upload(self, id: str) -> None:
        """Remove an upload before it expires."""
        self._send("uploads_remove", id=id, headers=_TUS)

    # Styles

    def styles(self) -> list[Style]:
        """List the styles that may be named, the client's own among them."""
        return _read(StyleList, self._send("styles_styles").json()).styles

    def remove_style(self, style: Style) -> None:
        """Remove a style of your own."""
        self._send("styles_remove", network=style.network, name=style.name)

    def thumbnail(self, style: Style) -> bytes:
        """Return the sample picture of a style, a JPEG."""
        return self._send("styles_thumbnail", network=style.network, name=style.name).content

    def make_style(
        self,
        name: str,
        picture: Path | str,
        *,
        minutes: float = 0.0,
        network: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
    ) -> Style | Job:
        """Make a style of a picture: predicted at once, or learned by a job where `minutes` are given."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        data = _given(name=name, minutes=str(minutes) if minutes else None, network=network, webhook=webhook)
        with _Form(file=picture) as files:
            answer = self._send("styles_make_style", files=files, data=data, headers=headers)
        return _read(Job, answer.json()) if answer.status_code == 202 else _read(Style, answer.json())

    # The service

    def ready(self) -> bool:
        """Return True if the service takes work at this moment."""
        return self._http.request(*_route("system_ready")).status_code == 200

    def health(self) -> Ready:
        """Return the state of the service; raise ServiceError if it does not live."""
        return _read(Ready, self._send("system_health").json())

    def metrics(self) -> str:
        """Return the metrics in Prometheus's text format; a key needs the scope admin."""
        return self._send("system_metrics").text

    def _send(
        self, operation: str, *, headers: Mapping[str, str] | None = None, content: Any = None, files: Any = None,
        data: Any = None, json: Any = None, params: Any = None, **parts: str,
    ) -> httpx.Response:  # fmt: skip
        """Send a request, and return the answer; raise ServiceError if it is an error."""
        method, path = _route(operation, **parts)
        answer = self._http.request(
            method, path, headers=headers, content=content, files=files, data=data, json=json, params=params
        )
        _check(answer)
        return answer


def _route(operation: str, **parts: str) -> tuple[str, str]:
    method, path = ROUTES[operation]
    return method, path.format(**{name: quote(part, safe="") for name, part in parts.items()})


def _check(answer: httpx.Response) -> None:
    """Raise ServiceError for an answer that is an error."""
    if answer.is_success:
        return
    answer.read()
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    after = answer.headers.get("retry-after", "")
    detail = problem.get("detail") or f"the service answered {answer.status_code}"
    raise ServiceError(
        answer.status_code, detail, answer.headers.get("x-request-id", ""), float(after) if after.isdigit() else None
    )


def _persistently(act: Callable[[], T]) -> T:
    """Return what `act` returns; where the connection breaks it is called again, five times in all."""
    for again in range(1, _TRIES):
        try:
            return act()
        except httpx.TransportError:
            time.sleep(2**again / 4)
    return act()


def _blocks(file: IO[bytes], sent: int, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block
        sent += len(block)
        on_bytes(sent)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class _Form(ExitStack):
    """The files of a form, open while the request is sent."""

    def __init__(self, **paths: Path | str | None) -> None:
        super().__init__()
        self._paths = {name: Path(path) for name, path in paths.items() if path is not None}

    def __enter__(self) -> Any:
        return {name: (path.name, self.enter_context(path.open("rb"))) for name, path in self._paths.items()}


def _read(kind: type[T], value: Any) -> T:
    """Return plain JSON as a model; what a newer service says beyond it is left out."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        given = {one.name: _read(hints[one.name], value[one.name]) for one in fields(kind) if one.name in value}
        return kind(**given)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list:
        return [_read(inner[0], one) for one in value]  # type: ignore[return-value]
    if origin in (Union, UnionType) and value is not None:
        return _read(inner[0], value)
    return value
