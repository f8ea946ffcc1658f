"""Errors of the API, as problem details (RFC 9457) with one plain sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from videostyle.errors import SinkError, VideostyleError, first_problem
from videostyle.files import is_disk_full
from videostyle.hosting.asgi import Message, Send, answer
from videostyle.hosting.messages import without_folders
from videostyle.service.log import request_id
from videostyle.service.painters import SupersededError
from videostyle.service.queue import FullError
from videostyle.service.storage import BusyError
from videostyle.text import sanitize_line

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

KIND = "application/problem+json"
_STATUS = {BusyError: 423, SupersededError: 409, SinkError: 507}
"""Status of errors; 422 for all others of ours."""


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A request that is answered with an error."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def as_problem(error: BaseException, folders: tuple[Path, ...] = ()) -> Problem:
    """Return the problem that an error is to a client; its message is without the folders of this computer."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, FullError):
        status = 503 if error.everyone else 429
        return Problem(status, str(error), {"Retry-After": str(error.seconds)})
    if isinstance(error, ValidationError):
        return Problem(422, sanitize_line(first_problem(error)))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Problem(422, sanitize_line(f"{where}: {first['msg']}"))
    if isinstance(error, HTTPException):
        return Problem(error.status_code, sanitize_line(error.detail), error.headers)
    if isinstance(error, VideostyleError):
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 422)
        return Problem(status, sanitize_line(without_folders(str(error), folders)))
    if is_disk_full(error):
        return Problem(507, "the service's disk is full; try again later")
    return Problem(500, "the service failed unexpectedly; its log has more under the id of this request")


def _content(problem: Problem) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id.get(),
    }


def response_to(error: BaseException, folders: tuple[Path, ...] = ()) -> JSONResponse:
    """Return the response to a request that ended with an error."""
    problem = as_problem(error, folders)
    return JSONResponse(_content(problem), problem.status, problem.headers, media_type=KIND)


async def send_problem(scope: Message, send: Send, problem: Problem) -> None:
    """Send the response to a request that does not reach the app."""
    await answer(scope, send, problem.status, json.dumps(_content(problem)), list(problem.headers.items()), KIND)


def install(app: FastAPI, folders: tuple[Path, ...]) -> None:
    """Let an app answer errors with problem details."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return response_to(error, folders)

    for kind in (Problem, RequestValidationError, ValidationError, HTTPException, VideostyleError, Exception):
        app.add_exception_handler(kind, handle)
