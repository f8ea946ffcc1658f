"""Routes of jobs: films, and pictures that nobody waits for, painted in the background."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Self

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from videostyle.errors import UsageError
from videostyle.service.common import TheClient, TheService, checked
from videostyle.service.core import Service, describe
from videostyle.service.incoming import Incoming, arriving
from videostyle.service.keys import Client
from videostyle.service.objects import byte_range, described
from videostyle.service.openapi import form_body
from videostyle.service.problems import Problem
from videostyle.service.records import Job
from videostyle.service.schema import JobRequest, given_settings, result_name
from videostyle.service.storage import THUMBNAIL
from videostyle.service.tasks import Inspect
from videostyle.service.views import ERRORS, JobList, JobView

router = APIRouter(tags=["jobs"], responses=ERRORS)

_PAGE = 100
_POLL = 0.5  # seconds between two looks for an event
_ALIVE = 15.0  # seconds after which a comment keeps a silent connection open
Range = Annotated[str, Header(include_in_schema=False)]
_STREAMS_EACH = 20
"""Connections of one client that wait for events."""


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobView,
    openapi_extra=form_body("JobRequest", file_required=False),
)
async def submit(
    request: Request,
    service: TheService,
    client: TheClient,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Submit a film or a picture; a second request with the same Idempotency-Key is answered with the first job."""
    async with (
        NewJob(service, client, idempotency_key) as new,
        arriving(request, service, client, JobRequest, new.folder) as incoming,
    ):
        if (before := new.replayed(incoming)) is not None:
            return before
        content, check = await run_in_threadpool(_prepare, service, incoming)
        if check is not None:
            await checked(service, client, check, limited=False)
        return await new.submit("film", content, incoming)


class NewJob:
    """The folder of a request that may become a job, which is removed at the end of the block if it has not."""

    id: str
    folder: Path

    def __init__(self, service: Service, client: Client, key: str | None) -> None:
        """Take the request's Idempotency-Key."""
        self._service, self._client, self._key = service, client, key
        self._is_kept = False

    async def __aenter__(self) -> Self:
        self.id, self.folder = await run_in_threadpool(self._service.storage.new_job)
        return self

    async def __aexit__(self, *why: object) -> None:
        if not self._is_kept:
            await run_in_threadpool(self._service.storage.remove_job, self.id)

    def replayed(self, incoming: Incoming[Any]) -> Response | None:
        """Return the answer with the job that came before with the same key; None if there is none."""
        before = self._service.queue.replayed(self._client.id, self._key, incoming.digest)
        return None if before is None else accepted(before, replayed=True)

    async def submit(self, kind: str, content: dict[str, Any], incoming: Incoming[Any]) -> Response:
        """Put the job into the queue, and return the answer."""
        size = incoming.size

        def add() -> tuple[Job, bool]:
            self._service.storage.put_away(self.id)
            return self._service.queue.submit(
                self._client.id, kind, content, incoming.digest, id=self.id, idempotency=self._key, size=size
            )

        job, self._is_kept = await run_in_threadpool(add)
        return accepted(job, replayed=not self._is_kept)


def accepted(job: Job, *, replayed: bool = False) -> Response:
    """Return the answer to a request that has become a job."""
    headers = {"Location": f"/v1/jobs/{job.id}"} | ({"Idempotency-Replayed": "true"} if replayed else {})
    return JSONResponse(describe(job), 202, headers)


def _prepare(service: Service, incoming: Incoming[JobRequest]) -> tuple[dict[str, Any], Inspect | None]:
    """Return the request as the job has it, and the check of its file; None for one that is downloaded later."""
    given = incoming.request
    url = given.input if "://" in given.input else ""
    if url:
        if not service.plan.allow_urls:
            raise UsageError("this service fetches nothing from addresses; upload the file")
        service.outbound.check(url)
        last = re.sub(r"[?#].*", "", url).rpartition("/")[2]
        incoming.name = last if "." in last else "film.mp4"
        name, suffix = result_name(incoming.name, given)
        source = f"file{_suffix(incoming.name)}"
    else:
        source = incoming.take_input(given.input, incoming.name)
        name, suffix = result_name(incoming.name, given)
    settings = incoming.settings(given)
    output = f"painted{suffix}"
    (incoming.folder / "out").mkdir()
    plan = incoming.plan(settings, source, f"out/{output}")
    content = {
        "source": source, "output": output, "name": name, "url": url, "settings": settings,
        "given": given_settings(given),
    }  # fmt: skip
    if given.webhook is not None:
        content["webhook"] = webhook_of(service, given.webhook.url)
    return content, None if url else Inspect(plan.source, service.plan.minutes, service.plan.pixels, plan)


def webhook_of(service: Service, url: str) -> str:
    """Return the address of a webhook; raise UsageError if none is allowed, or not this one."""
    if not service.plan.allow_webhooks:
        raise UsageError("this service sends no webhooks; ask for the job's events")
    service.outbound.check(url)
    return url


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}"


@router.get("/v1/jobs", response_model=JobList)
def jobs(
    service: TheService,
    client: TheClient,
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = 20,
    before: Annotated[str | None, Query(max_length=80)] = None,
) -> dict[str, Any]:
    """List your jobs, the newest first."""
    found = service.queue.jobs_of(client.id, limit + 1, before)
    more = f"/v1/jobs?limit={limit}&before={found[limit - 1].id}" if len(found) > limit else None
    return {"jobs": [_described(service, job) for job in found[:limit]], "next": more}


@router.get("/v1/jobs/{id}", response_model=JobView)
def job(id: str, service: TheService, client: TheClient) -> dict[str, Any]:
    """Return a job."""
    return _described(service, _find(service, client, id))


def _described(service: Service, job: Job) -> dict[str, Any]:
    return describe(job, service.queue.ahead(job))


def _find(service: Service, client: Client, id: str) -> Job:
    found = service.queue.get(id, client.id)
    if found is None:
        raise Problem(404, "there is no job of this id; it may have expired")
    return found


@router.delete("/v1/jobs/{id}", response_model=JobView)
def cancel(id: str, service: TheService, client: TheClient) -> dict[str, Any]:
    """Cancel a job; remove the files of one that is over."""
    found = _find(service, client, id)
    if found.is_over:
        service.storage.remove_job(id)
        service.queue.forget(found, entirely=False)
    else:
        service.queue.cancel(id)
    return _described(service, _find(service, client, id))


@router.get(
    "/v1/jobs/{id}/result",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "the painted film or picture"}},
)
def result(id: str, service: TheService, client: TheClient, range: Range = "", inline: bool = False) -> Response:
    """Download the painted film or picture; `inline` is for a page that shows it."""
    found = _find(service, client, id)
    if found.status != "succeeded":
        raise Problem(409, f"the job has no result; it is {found.status}")
    if "file" not in found.result:
        raise Problem(404, "this job has no file; it has made a style")
    answer = _file(service, found, found.result["file"], range, found.request["name"], inline)
    if answer is None:
        raise Problem(410, "the result has expired, or was removed")
    return answer


@router.get("/v1/jobs/{id}/source", response_class=FileResponse)
def source(id: str, service: TheService, client: TheClient, range: Range = "") -> Response:
    """Return the film or picture that a job paints."""
    found = _find(service, client, id)
    return _shown(_file(service, found, found.request["source"], range))


@router.get("/v1/jobs/{id}/thumbnail", response_class=FileResponse)
def thumbnail(id: str, service: TheService, client: TheClient) -> Response:
    """Return a small copy of a frame of the result; while the job runs, of the newest."""
    return _shown(_file(service, _find(service, client, id), THUMBNAIL))


def _shown(answer: Response | None) -> Response:
    if answer is None:
        raise Problem(404, "it is not there yet, or was removed")
    return answer


def _file(
    service: Service, job: Job, file: str, range: str = "", name: str = "", inline: bool = True
) -> Response | None:
    """Answer with a file of a job, from its folder or the object store; None if it is not there."""
    path = service.storage.job_folder(job.id) / file
    kind = "inline" if inline else "attachment"
    if path.is_file():
        return FileResponse(path, filename=name or None, content_disposition_type=kind)
    objects = service.storage.objects
    size = None if objects is None or job.result.get("expired") else objects.size(job.id, file)
    if objects is None or size is None:
        return None
    part = byte_range(range, size)
    start, end = part or (0, size)
    headers = described(start, end, size, name, kind)
    media = mimetypes.guess_type(file)[0] or "application/octet-stream"
    return StreamingResponse(objects.read(job.id, file, start, end), 206 if part else 200, headers, media)


@router.get(
    "/v1/jobs/{id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "an event for each change, until the end"}},
)
async def events(id: str, request: Request, service: TheService, client: TheClient) -> StreamingResponse:
    """Follow a job by server-sent events: `progress` while it changes, and its status as the last event's name."""
    await run_in_threadpool(_find, service, client, id)

    def look() -> tuple[str, Any, bool] | None:
        found = service.queue.get(id, client.id)
        if found is None:
            return None
        return found.status if found.is_over else "progress", _described(service, found), found.is_over

    return _stream(request, service, client, look)


@router.get(
    "/v1/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "an event for each change"}},
)
async def all_events(request: Request, service: TheService, client: TheClient) -> StreamingResponse:
    """Follow all of your jobs by server-sent events: `jobs`, the list, whenever it changes."""

    def look() -> tuple[str, Any, bool]:
        return "jobs", jobs(service, client, _PAGE), False

    return _stream(request, service, client, look)


def _stream(
    request: Request, service: Service, client: Client, look: Callable[[], tuple[str, Any, bool] | None]
) -> StreamingResponse:
    """Return a stream of what `look` finds: an event's name, its content, and whether it is the last."""
    streams: dict[str, int] = request.app.state.streams
    if streams.get(client.id, 0) >= _STREAMS_EACH:
        raise Problem(429, f"{_STREAMS_EACH} of your connections wait for events already", {"Retry-After": "10"})
    return StreamingResponse(_events(service, client, look, streams), media_type="text/event-stream")


async def _events(
    service: Service, client: Client, look: Callable[[], tuple[str, Any, bool] | None], streams: dict[str, int]
) -> AsyncIterator[str]:
    streams[client.id] = streams.get(client.id, 0) + 1
    try:
        shown, silent = "", time.monotonic()
        while service.is_ready:
            found = await run_in_threadpool(look)
            if found is None:
                return
            name, content, is_last = found
            data = json.dumps(content)
            if data != shown or is_last:
                shown, silent = data, time.monotonic()
                yield f"event: {name}\ndata: {data}\n\n"
                if is_last:
                    return
            elif time.monotonic() - silent > _ALIVE:
                silent = time.monotonic()
                yield ": still there\n\n"
            await asyncio.sleep(_POLL)
    finally:
        streams[client.id] -= 1
        if not streams[client.id]:
            del streams[client.id]
