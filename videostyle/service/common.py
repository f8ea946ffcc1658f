"""Parts that the routes share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from videostyle.service.core import Service
from videostyle.service.keys import Client
from videostyle.service.problems import Problem
from videostyle.service.tasks import Failure, Task


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _client(request: Request) -> Client:
    found: Client = request.scope["state"]["client"]
    return found


async def checked(service: Service, client: Client, task: Task, *, limited: bool = True) -> dict[str, Any]:
    """Return what a painter makes of a task; raise Problem where it failed, FullError if too many wait."""
    found = await service.painters.run(client.id, task, limited=limited)
    if isinstance(found, Failure):
        raise Problem(507 if found.disk_full else 422 if found.is_clients else 500, found.message)
    return found


TheService = Annotated[Service, Depends(_service)]
TheClient = Annotated[Client, Depends(_client)]
