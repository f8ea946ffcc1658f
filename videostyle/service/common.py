"""Parts that the routes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from videostyle.service.core import Service
from videostyle.service.keys import Client
from videostyle.service.painters import Painters
from videostyle.service.problems import Problem
from videostyle.service.tasks import Failure, Task


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _client(request: Request) -> Client:
    found: Client = request.scope["state"]["client"]
    return found


async def checked(
    service: Service,
    client: Client,
    task: Task,
    *,
    limited: bool = True,
    is_wanted: Callable[[], bool] = lambda: True,
    painters: Painters | None = None,
) -> dict[str, Any]:
    """Return the result of a painter; raise Problem where it failed, FullError, or SupersededError."""
    found = await (painters or service.painters).run(client.id, task, limited=limited, is_wanted=is_wanted)
    if isinstance(found, Failure):
        raise Problem(507 if found.disk_full else 422 if found.is_clients else 500, found.message)
    return found


TheService = Annotated[Service, Depends(_service)]
TheClient = Annotated[Client, Depends(_client)]
