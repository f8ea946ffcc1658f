"""Routes of the studio beside those of the API: its files, and results that are saved to a folder."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from videostyle import __version__
from videostyle.io.names import FILMS
from videostyle.service.common import TheClient, TheService
from videostyle.service.problems import Problem
from videostyle.service.schema import READABLE
from videostyle.service.views import ERRORS
from videostyle.studio.library import Library

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
