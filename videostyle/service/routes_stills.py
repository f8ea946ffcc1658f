"""Routes of pictures that a page shows while its user chooses: single frames of an upload, and a camera's."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from videostyle.plan import RenderPlan
from videostyle.service.camera import CameraPicture
from videostyle.service.common import TheClient, TheService, checked
from videostyle.service.core import Service
from videostyle.service.keys import Client
from videostyle.service.problems import Problem
from videostyle.service.schema import RenderSettings, StillRequest, render_settings
from videostyle.service.stills import Still
from videostyle.service.views import ERRORS

router = APIRouter(tags=["stills"], responses=ERRORS)

_VIEWS = 1000
"""Views whose newest request is known."""
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "the picture"}}


class Views:
    """Newest request of each view, so that those before it are dropped while they wait."""

    def __init__(self) -> None:
        self._newest: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._count = 0

    def begin(self, client: str, view: str) -> tuple[str, str, int]:
        """Record a request; the ones of the same view before it are not wanted any more."""
        self._count += 1
        if view:
            self._newest[client, view] = self._count
            self._newest.move_to_end((client, view))
            while len(self._newest) > _VIEWS:
                self._newest.popitem(last=False)
        return client, view, self._count

    def is_wanted(self, request: tuple[str, str, int]) -> bool:
        """Return False if a newer request has come."""
        client, view, number = request
        return self._newest.get((client, view), number) == number


@router.post("/v1/stills", response_class=Response, responses=_JPEG)
async def still(given: StillRequest, request: Request, service: TheService, client: TheClient) -> Response:
    """Return a frame of an upload as a JPEG, painted by the settings; 409 if a newer request of its view has come."""
    views: Views = request.app.state.views
    mine = views.begin(client.id, given.view)
    upload = await run_in_threadpool(service.storage.take, given.input, client.id)
    plan = None
    if given.settings is not None:
        plan = await run_in_threadpool(plan_of, service, client, given.settings, str(upload.path))
    task = Still(str(upload.path), given.at, given.lines, plan)
    found = await checked(service, client, task, is_wanted=lambda: views.is_wanted(mine))
    return _jpeg(found)


@router.post("/v1/camera", response_class=Response, responses=_JPEG)
async def camera(
    request: Request,
    service: TheService,
    client: TheClient,
    videostyle_camera: Annotated[str, Header(max_length=80, pattern=r"^[\w-]+$")],
    videostyle_settings: Annotated[str, Header(max_length=8000)] = "{}",
) -> Response:
    """Return a camera's picture, the body, painted and stabilized by those before it.

    The header `Videostyle-Camera` is a name that the client chooses for each run of its camera, `Videostyle-Settings`
    the settings as JSON. Nothing is kept.
    """
    if request.headers.get("content-type") != "image/jpeg":
        raise Problem(415, "a camera's picture must be an image/jpeg")
    settings = RenderSettings.model_validate_json(videostyle_settings)
    plan = await run_in_threadpool(plan_of, service, client, settings, "")
    picture = await request.body()
    task = CameraPicture(f"{client.id}/{videostyle_camera}", picture, plan)
    found = await checked(service, client, task, painters=service.cameras)
    return _jpeg(found)


def _jpeg(found: dict[str, Any]) -> Response:
    size = {"Videostyle-Size": f"{found['width']}x{found['height']}"}
    return Response(found["jpeg"], media_type="image/jpeg", headers=size)


def plan_of(service: Service, client: Client, settings: Any, source: str) -> RenderPlan:
    """Return the render of a client's settings, with the files that these name; raises UsageError."""
    folder = service.plan.jobs_folder / "none"  # a style is named from the folder of a job

    def style(name: str, network: str) -> str:
        found = service.styles.find(name, network, client.id)
        return os.path.normpath(folder / found) if found.startswith("./") else found

    def upload(id: str, use: str) -> str:
        return str(service.storage.take(id, client.id).path)

    values = render_settings(settings.model_dump(), style, upload)
    return RenderPlan.of(source, "", **values, engine=service.plan.engine, device=service.plan.device)
