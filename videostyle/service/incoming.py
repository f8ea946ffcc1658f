"""Requests with files: their fields as a model, their files in a folder of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from videostyle.errors import UsageError
from videostyle.plan import RenderPlan
from videostyle.service.core import Service
from videostyle.service.guard import SMALL
from videostyle.service.keys import Client
from videostyle.service.problems import Problem
from videostyle.service.schema import UPLOAD, JobRequest, check_name, render_settings, with_paths
from videostyle.service.storage import clean_name, move_or_copy, receive

M = TypeVar("M", bound=BaseModel)

_MOST_FILES, _MOST_FIELDS = 6, 12


class Incoming(Generic[M]):
    """A request with the files that came with it, in `folder`."""

    def __init__(self, service: Service, client: Client, folder: Path, parsed: M, files: dict[str, str]) -> None:
        self.request = parsed
        self.folder = folder
        self._service, self._client = service, client
        self._files = files
        """SHA-256 of each file that came along, by the name of its part."""
        self.name = "film.mp4"
        """The client's name of the input."""

    @property
    def digest(self) -> str:
        """SHA-256 of the request, by which a repeated one is known."""
        content = [self.request.model_dump(mode="json"), sorted(self._files.items())]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())

    def take_input(self, id: str, name: str = "") -> str:
        """Return the file, in the folder, that is to be painted: the part `file`, or the upload `id`."""
        if "file" in self._files:
            if id:
                raise UsageError("give one input: a file, or the id of an upload")
            self.name = name or self.name
            return next(path.name for path in self.folder.glob("file.*"))
        if not id:
            raise UsageError("give an input: a file in the part named file, or the id of an upload")
        upload = self._service.storage.take(id, self._client.id)
        self.name = upload.name
        target = self.folder / f"file{check_name(upload.name)}"
        move_or_copy(upload.path, target)
        return target.name

    def find_upload(self, id: str, use: str) -> str:
        """Return a file, ./NAME in the folder, for the id of an upload or of a part, `upload_` and its name."""
        part = id.removeprefix(UPLOAD)
        for path in self.folder.glob(f"{part}.*") if part in self._files else ():
            return f"./{path.name}"
        upload = self._service.storage.take(id, self._client.id)
        number = sum(path.name.startswith(use) for path in self.folder.iterdir())
        target = self.folder / f"{use}{number}{check_name(upload.name)}"
        move_or_copy(upload.path, target)
        return f"./{target.name}"

    def settings(self, given: JobRequest) -> dict[str, Any]:
        """Return the render's settings as plain values; raises UsageError."""
        values = given.model_dump()["settings"]
        for part in ("style", "mask"):
            if part in self._files and values.get(part) is None:
                values[part] = f"{UPLOAD}{part}"
        styles = self._service.styles
        return render_settings(
            values, lambda name, network: styles.find(name, network, self._client.id), self.find_upload
        )

    def plan(self, settings: dict[str, Any], source: str, output: str) -> RenderPlan:
        """Return the render of a file in the folder; raises UsageError."""
        plan = self._service.plan
        return RenderPlan.of(
            self.folder / source,
            self.folder / output,
            **with_paths(settings, self.folder),
            engine=plan.engine,
            device=plan.device,
        )


@asynccontextmanager
async def arriving(
    request: Request, service: Service, client: Client, model: type[M], folder: Path
) -> AsyncIterator[Incoming[M]]:
    """Read a request, JSON or a form with files, into a model and the existing `folder`; raises Problem, UsageError."""
    names: dict[str, str] = {}
    files: dict[str, str] = {}
    values: dict[str, Any] = {}
    try:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=SMALL) as form:
                for part, value in form.multi_items():
                    if isinstance(value, UploadFile):
                        if not part.isidentifier() or part in files:
                            raise UsageError("the name of a part must be a word, and occur once")
                        names[part] = clean_name(value.filename or "")
                        target = folder / f"{part}{check_name(names[part])}"
                        files[part] = await run_in_threadpool(receive, value.file, target)
                    else:
                        values[part] = _field(part, value)
        else:
            values = _object(await request.body(), "the request")
    except ClientDisconnect as error:
        raise Problem(400, "the request broke off") from error
    incoming = Incoming(service, client, folder, model.model_validate_json(json.dumps(values)), files)
    incoming.name = names.get("file", incoming.name)
    yield incoming


def _field(part: str, value: str) -> Any:
    """Return a text field of a form as its model has it."""
    if part == "settings":
        return _object(value, "settings")
    if part == "webhook":
        return {"url": value}
    if part == "minutes":
        try:
            return float(value)
        except ValueError as error:
            raise UsageError(f"minutes must be a number, not {value!r}") from error
    return value


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} must be a JSON object, such as {{}}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{what} must be a JSON object, such as {{}}")
    return found
