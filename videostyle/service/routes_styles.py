"""Routes of styles: the list, with thumbnails, and new ones made of pictures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from videostyle.errors import UsageError
from videostyle.io import heif
from videostyle.io.images import EXTENSIONS
from videostyle.service.common import TheClient, TheService, checked
from videostyle.service.core import Service
from videostyle.service.incoming import Incoming, arriving
from videostyle.service.openapi import form_body
from videostyle.service.problems import Problem
from videostyle.service.queue import new_id
from videostyle.service.routes_jobs import NewJob, webhook_of
from videostyle.service.schema import StyleRequest
from videostyle.service.styles import own_style
from videostyle.service.tasks import Inspect, Predict
from videostyle.service.views import ERRORS, JobView, StyleList, StyleView
from videostyle.train.plan import LearnPlan, TrainingStyle

router = APIRouter(tags=["styles"], responses=ERRORS)


@router.get("/v1/styles", response_model=StyleList)
def styles(service: TheService, client: TheClient) -> dict[str, Any]:
    """List the styles: the gallery's, and your own."""
    return {"styles": service.styles.listed(client.id)}


@router.get(
    "/v1/styles/{network}/{name}/thumbnail",
    response_class=FileResponse,
    responses={200: {"content": {"image/jpeg": {}}, "description": "pictures painted in the style"}},
)
def thumbnail(network: str, name: str, service: TheService, client: TheClient) -> FileResponse:
    """Return a sample of a style of the gallery, or the picture that a style of your own was made of."""
    path = service.styles.thumbnail(name, network, client.id)
    if path is None:
        raise Problem(404, "this style has no thumbnail")
    return FileResponse(path, media_type="image/jpeg")


@router.delete("/v1/styles/{network}/{name}", status_code=204)
def remove(network: str, name: str, service: TheService, client: TheClient) -> Response:
    """Remove a style of your own."""
    if not service.styles.remove(name, network, client.id):
        raise Problem(404, "you have no style of this name")
    return Response(status_code=204)


@router.post(
    "/v1/styles",
    response_model=StyleView,
    status_code=201,
    responses={202: {"model": JobView, "description": "a job that learns the style"}},
    openapi_extra=form_body("StyleRequest", file_required=False),
)
async def make_style(
    request: Request,
    service: TheService,
    client: TheClient,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Make a style of a picture: predicted at once (201), or learned in some minutes by a job (202)."""
    async with (
        NewJob(service, client, idempotency_key) as new,
        arriving(request, service, client, StyleRequest, new.folder) as incoming,
    ):
        if (before := new.replayed(incoming)) is not None:
            return before
        source = await run_in_threadpool(_check, service, client.id, incoming)
        given = incoming.request
        file = f"{new_id('style')}.safetensors"
        plan = LearnPlan(
            TrainingStyle(given.name, new.folder / source),
            service.plan.styles_folder / file,
            network=given.network,
            minutes=0,
        )
        check = Inspect(str(new.folder / source), service.plan.minutes, service.plan.pixels)
        await checked(service, client, check if given.minutes else Predict(check, plan), limited=False)
        if not given.minutes:
            await run_in_threadpool(service.styles.add, file, client.id, given.name, given.network)
            return JSONResponse(own_style(given.name, given.network).model_dump(), 201)
        content = {
            "source": source, "name": given.name, "network": given.network, "minutes": given.minutes, "file": file,
        }  # fmt: skip
        if given.webhook is not None:
            content["webhook"] = await run_in_threadpool(webhook_of, service, given.webhook.url)
        return await new.submit("style", content, incoming)


def _check(service: Service, client: str, incoming: Incoming[StyleRequest]) -> str:
    """Return the file of the picture; raise UsageError for a style that cannot be made."""
    given = incoming.request
    if given.minutes > service.plan.learn_minutes:
        raise UsageError(f"minutes must be between 0 and {service.plan.learn_minutes:g}, got {given.minutes:g}")
    service.styles.check_new(given.name, given.network, client)
    source = incoming.take_input(given.input, incoming.name)
    if not source.endswith((*EXTENSIONS, *heif.EXTENSIONS)):
        raise UsageError("a style is made of a picture, not of a film")
    return source
