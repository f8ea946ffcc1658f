"""Resumable uploads, by tus 1.0: creation, termination, expiration."""

from __future__ import annotations

import base64
import binascii
from email.utils import formatdate
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from videostyle.errors import UsageError
from videostyle.files import sink_error
from videostyle.io import heif
from videostyle.io.images import EXTENSIONS
from videostyle.service.common import TheClient, TheService, checked
from videostyle.service.core import Service
from videostyle.service.keys import Client
from videostyle.service.problems import Problem
from videostyle.service.storage import Upload
from videostyle.service.tasks import Inspect
from videostyle.service.views import ERRORS, UploadView

router = APIRouter(tags=["uploads"], responses=ERRORS)

VERSION = "1.0.0"
_RESUMABLE = {"Tus-Resumable": VERSION}
_MOST_EACH = 100
"""Uploads of one client."""
_KIND = "application/offset+octet-stream"


@router.options("/v1/uploads", status_code=204)
def options(service: TheService) -> Response:
    """Tell what is supported."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,termination,expiration",
        "Tus-Max-Size": str(service.plan.largest),
    }
    return Response(status_code=204, headers=_RESUMABLE | headers)


@router.post("/v1/uploads", status_code=201, response_class=Response)
def create(
    service: TheService,
    client: TheClient,
    upload_length: Annotated[int | None, Header()] = None,
    upload_metadata: Annotated[str, Header(max_length=4000)] = "",
    tus_resumable: Annotated[str, Header()] = "",
) -> Response:
    """Create an upload of `Upload-Length` bytes; `Upload-Metadata` has its `filename`, in base64."""
    _check_version(tus_resumable)
    if upload_length is None:
        raise UsageError("the header Upload-Length is missing")
    if upload_length > service.plan.largest:
        raise Problem(413, f"an upload may have at most {service.plan.largest} bytes", _RESUMABLE)
    if service.storage.count(client.id) >= _MOST_EACH:
        raise Problem(429, f"you have {_MOST_EACH} uploads; delete those that you do not need", {"Retry-After": "60"})
    upload = service.storage.create(client.id, _filename(upload_metadata), upload_length)
    return Response(status_code=201, headers={"Location": f"/v1/uploads/{upload.id}", **_headers(upload)})


@router.head("/v1/uploads/{id}", response_class=Response)
def offset(id: str, service: TheService, client: TheClient, tus_resumable: Annotated[str, Header()] = "") -> Response:
    """Return the number of bytes that have arrived, in the header `Upload-Offset`."""
    _check_version(tus_resumable)
    return Response(headers=_headers(_find(service, client, id)))


@router.get("/v1/uploads/{id}", response_model=UploadView)
async def describe(id: str, service: TheService, client: TheClient) -> dict[str, Any]:
    """Return the name, size and length of an upload that is complete."""
    upload = await run_in_threadpool(service.storage.take, id, client.id)
    check = Inspect(str(upload.path), service.plan.minutes, service.plan.pixels)
    found = await checked(service, client, check, limited=False)
    is_photo = upload.path.suffix in (*EXTENSIONS, *heif.EXTENSIONS) and found["frames"] in (None, 1)
    return {
        "id": id, "name": upload.name, "bytes": upload.size, "kind": "photo" if is_photo else "film", **found,
        "content": f"/v1/uploads/{id}/content",
    }  # fmt: skip


@router.get("/v1/uploads/{id}/content", response_class=FileResponse)
def content(id: str, service: TheService, client: TheClient) -> FileResponse:
    """Return the file itself, or the part of it that is asked for."""
    upload = service.storage.take(id, client.id)
    return FileResponse(upload.path, filename=upload.name, content_disposition_type="inline")


@router.patch("/v1/uploads/{id}", status_code=204)
async def append(
    id: str,
    request: Request,
    service: TheService,
    client: TheClient,
    upload_offset: Annotated[int | None, Header()] = None,
    tus_resumable: Annotated[str, Header()] = "",
) -> Response:
    """Append bytes at `Upload-Offset`; what has arrived when the connection breaks is kept."""
    _check_version(tus_resumable)
    if request.headers.get("content-type") != _KIND:
        raise Problem(415, f"the content type must be {_KIND}", _RESUMABLE)
    upload = await run_in_threadpool(_find, service, client, id)
    with service.storage.writing(upload) as file:
        if upload_offset != upload.offset:
            raise Problem(409, f"the upload is at offset {upload.offset}, not at {upload_offset}", _RESUMABLE)
        left = upload.size - upload.offset
        try:
            async for block in request.stream():
                if len(block) > left:
                    raise Problem(413, f"the upload has {upload.size} bytes, and more came", _RESUMABLE)
                left -= len(block)
                await run_in_threadpool(_write, file, block, upload.name)
        except ClientDisconnect as error:
            raise Problem(400, "the connection broke; go on at the offset that HEAD returns") from error
    return Response(status_code=204, headers=_headers(upload))


def _write(file: BinaryIO, block: bytes, name: str) -> None:
    try:
        file.write(block)
        file.flush()
    except OSError as error:
        raise sink_error(name, error) from error


@router.delete("/v1/uploads/{id}", status_code=204)
def remove(id: str, service: TheService, client: TheClient, tus_resumable: Annotated[str, Header()] = "") -> Response:
    """Remove an upload."""
    _check_version(tus_resumable)
    upload = _find(service, client, id)
    with service.storage.locked(upload):  # its file, which may be a link to one of the user's, is not opened
        service.storage.remove(upload)
    return Response(status_code=204, headers=_RESUMABLE)


def _check_version(version: str) -> None:
    if version != VERSION:
        raise Problem(412, f"the header Tus-Resumable must be {VERSION}", {"Tus-Version": VERSION, **_RESUMABLE})


def _find(service: Service, client: Client, id: str) -> Upload:
    found = service.storage.find(id, client.id)
    if found is None:
        raise Problem(404, "there is no upload of this id; it may have expired", _RESUMABLE)
    return found


def _headers(upload: Upload) -> dict[str, str]:
    return {
        **_RESUMABLE,
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.size),
        "Upload-Expires": formatdate(upload.expires, usegmt=True),
        "Cache-Control": "no-store",
    }


def _filename(metadata: str) -> str:
    """Return the file name in a header `Upload-Metadata`; raise UsageError if there is none."""
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return base64.b64decode(value, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise UsageError("the filename in Upload-Metadata must be UTF-8 in base64") from error
    raise UsageError("Upload-Metadata must have the filename: Upload-Metadata: filename ZmlsbS5tcDQ=")
