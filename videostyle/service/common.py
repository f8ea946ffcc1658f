"""Parts that the routes share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from videostyle.service.core import Service
from videostyle.service.keys import Client


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _client(request: Request) -> Client:
    found: Client = request.scope["state"]["client"]
    return found


TheService = Annotated[Service, Depends(_service)]
TheClient = Annotated[Client, Depends(_client)]
