"""Route of pictures, which are painted while the client waits."""

from __future__ import annotations

import shutil

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from videostyle.errors import UsageError
from videostyle.io.images import EXTENSIONS
from videostyle.service.common import TheClient, TheService, checked
from videostyle.service.incoming import Incoming, arriving
from videostyle.service.openapi import form_body
from videostyle.service.queue import new_id
from videostyle.service.schema import JobRequest, result_name
from videostyle.service.tasks import NO_PICTURE, Inspect, Paint
from videostyle.service.views import ERRORS

router = APIRouter(tags=["pictures"], responses=ERRORS)


@router.post(
    "/v1/images",
    response_class=FileResponse,
    responses={200: {"content": {"image/*": {}}, "description": "the painted picture"}},
    openapi_extra=form_body("JobRequest", file_required=True),
)
async def paint_picture(request: Request, service: TheService, client: TheClient) -> FileResponse:
    """Paint a picture, and answer with it."""
    folder = service.plan.temporary / new_id("picture")
    await run_in_threadpool(folder.mkdir)
    try:
        async with arriving(request, service, client, JobRequest, folder) as incoming:
            task, output, name = await run_in_threadpool(_task, service, incoming)
        found = await checked(service, client, task)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        folder / output,
        filename=name,
        headers={"Videostyle-Seconds": f"{found['seconds']:.3f}"},
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _task(service: TheService, incoming: Incoming[JobRequest]) -> tuple[Paint, str, str]:
    given = incoming.request
    if given.webhook is not None:
        raise UsageError("a picture is painted at once, and has no webhook")
    source = incoming.take_input(given.input, incoming.name)
    settings = incoming.settings(given)
    name, suffix = result_name(incoming.name, given)
    if suffix not in EXTENSIONS:
        if given.format is None:
            raise UsageError(NO_PICTURE)
        raise UsageError(f"format must be a picture's: {', '.join(one[1:] for one in EXTENSIONS)}")
    output = f"painted{suffix}"
    plan = incoming.plan(settings, source, output)
    return Paint(Inspect(plan.source, service.plan.minutes, service.plan.pixels, plan), plan), output, name
