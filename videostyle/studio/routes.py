"""Routes of the studio beside those of the API: its files, moments to try, comparisons, and the command to copy."""

from __future__ import annotations

import json
import os
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from videostyle import __version__
from videostyle.io.names import FILMS
from videostyle.plan import RenderPlan
from videostyle.service.common import TheClient, TheService, checked
from videostyle.service.core import Service
from videostyle.service.examine import FIGURES, FRAME_BY_FRAME, LONGEST, Compare, FindMoments
from videostyle.service.keys import Client
from videostyle.service.problems import Problem
from videostyle.service.routes_stills import Views
from videostyle.service.schema import (
    READABLE,
    JobRequest,
    given_settings,
    render_settings,
    result_name,
    with_paths,
)
from videostyle.service.views import ERRORS
from videostyle.studio.library import Library
from videostyle.web.command import command as command_line
from videostyle.weights.manifest import load_manifest, models_folder

router = APIRouter(tags=["studio"], responses=ERRORS)


class Opened(BaseModel):
    """A file of the list that is opened."""

    model_config = ConfigDict(extra="forbid")

    key: str


class Saved(BaseModel):
    """A result that is saved."""

    model_config = ConfigDict(extra="forbid")

    overwrite: bool = False


def _library(request: Request) -> Library:
    found: Library = request.app.state.library
    return found


@router.get("/studio/about")
def about(request: Request, service: TheService) -> dict[str, Any]:
    """Return what the page has to know: limits, the kinds of files, what may be opened."""
    library, plan = _library(request), service.plan
    return {
        "version": __version__,
        "style": library.style,
        "largest_bytes": plan.largest,
        "largest_picture_bytes": plan.largest_picture,
        "minutes": plan.minutes,
        "pixels": plan.pixels,
        "learn_minutes": plan.learn_minutes,
        "predictors": sorted(load_manifest(models_folder()).predictors),
        "extensions": sorted(READABLE),
        "films": sorted(FILMS),
        "saves_to": library.output.name if library.output is not None else None,
        "files": [
            {"key": one.key, "name": one.path.name, "is_sample": one.is_sample, "is_first": one.is_first}
            for one in library.entries()
        ],
    }


@router.post("/studio/open", status_code=201)
def open_file(given: Opened, request: Request, service: TheService, client: TheClient) -> dict[str, str]:
    """Open a file of the list, as if it had been uploaded."""
    return {"id": service.storage.adopt(client.id, _library(request).find(given.key)).id}


@router.post("/studio/jobs/{id}/save")
def save(id: str, given: Saved, request: Request, service: TheService, client: TheClient) -> dict[str, str]:
    """Save the result of a job to the studio's folder; 409 if a file of its name is there."""
    job = service.queue.get(id, client.id)
    if job is None or job.status != "succeeded" or "file" not in job.result:
        raise Problem(404, "there is no result to save")
    library = _library(request)
    name = job.request["name"]
    if library.output is not None and (library.output / name).exists() and not given.overwrite:
        raise Problem(409, f"there is a file named {name} already")
    result = service.storage.job_folder(id) / job.result["file"]
    if not result.is_file():
        raise Problem(410, "the result has expired, or was removed")
    return {"name": library.save(result, name, overwrite=given.overwrite)}


@router.get("/studio/moments/{id}")
async def moments(
    id: str, request: Request, service: TheService, client: TheClient, view: str = "", seconds: float = 3.0
) -> dict[str, Any]:
    """Return moments of a film that are worth a look; 409 if the same view has asked for another film's."""
    views: Views = request.app.state.views
    mine = views.begin(client.id, f"moments-{view}")
    upload = await run_in_threadpool(service.storage.take, id, client.id)
    task = FindMoments(str(upload.path), min(max(seconds, 0.5), LONGEST))
    return await checked(service, client, task, is_wanted=lambda: views.is_wanted(mine), painters=service.examiners)


def _excerpt(id: str, service: Service, client: Client) -> RenderPlan:
    """Return the plan of a job that has painted an excerpt; raises Problem."""
    job = service.queue.get(id, client.id)
    if job is None or job.kind != "film" or job.status != "succeeded":
        raise Problem(404, "there is no painted excerpt of this id")
    folder = service.storage.job_folder(id)
    source, output = folder / job.request["source"], folder / job.result["file"]
    if not source.is_file() or not output.is_file():
        raise Problem(410, "the result has expired, or was removed")
    settings = with_paths(job.request["settings"], folder)
    plan = RenderPlan.of(source, output, **settings, engine=service.plan.engine, device=service.plan.device)
    if plan.span.end is None or plan.span.end - plan.span.start > LONGEST:
        raise Problem(422, f"only excerpts of up to {LONGEST:g} s are compared")
    return plan


@router.post("/studio/jobs/{id}/comparison")
async def comparison(id: str, service: TheService, client: TheClient) -> dict[str, Any]:
    """Return how much an excerpt flickers, stabilized and painted frame by frame, beside the film itself."""
    plan = await run_in_threadpool(_excerpt, id, service, client)
    kept = service.storage.job_folder(id) / FIGURES
    if kept.is_file():
        found: dict[str, Any] = json.loads(await run_in_threadpool(kept.read_text))
        return found
    return await checked(service, client, Compare(plan), painters=service.examiners)


@router.get("/studio/jobs/{id}/frame-by-frame", response_class=FileResponse)
def frame_by_frame(id: str, service: TheService, client: TheClient) -> FileResponse:
    """Return a compared excerpt as it is painted frame by frame."""
    _excerpt(id, service, client)
    path = service.storage.job_folder(id) / FRAME_BY_FRAME
    if not path.is_file():
        raise Problem(404, "this excerpt has not been compared")
    return FileResponse(path, content_disposition_type="inline")


@router.post("/studio/command")
def command(given: JobRequest, service: TheService, client: TheClient) -> dict[str, Any]:
    """Return the command line that paints the same, and the files of this studio that it reads beside the input."""
    upload = service.storage.take(given.input, client.id)
    files: dict[str, str] = {}

    def style(name: str, network: str) -> str:
        if service.styles.find(name, network, client.id) == name:
            return name
        files[f"{name}.safetensors"] = f"/studio/styles/{network}/{name}"
        return f"{name}.safetensors"

    def mask(id: str, use: str) -> str:
        name = f"{use}.png"
        files[name] = f"/v1/uploads/{service.storage.take(id, client.id).id}/content"
        return name

    values = render_settings(given_settings(given), style, mask)
    # A name that begins with a dash would be read as an option.
    source, output = (
        f"./{name}" if name.startswith("-") else name for name in (upload.name, result_name(upload.name, given)[0])
    )
    plan = RenderPlan.of(source, output, **values)
    return {"command": command_line(plan), "files": [{"name": name, "url": url} for name, url in files.items()]}


@router.get("/studio/styles/{network}/{name}", response_class=FileResponse)
def style_file(network: str, name: str, service: TheService, client: TheClient) -> FileResponse:
    """Return the file of a style of your own."""
    found = service.styles.find(name, network, client.id)
    if found == name:
        raise Problem(404, "there is no style of your own by this name")
    path = os.path.normpath(service.storage.job_folder("none") / found)
    return FileResponse(path, filename=f"{name}.safetensors")
