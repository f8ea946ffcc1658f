"""The app of the HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from videostyle import __version__
from videostyle.hosting.asgi import App
from videostyle.service import (
    openapi,
    problems,
    routes_images,
    routes_jobs,
    routes_stills,
    routes_styles,
    routes_system,
    routes_uploads,
)
from videostyle.service.core import Service
from videostyle.service.guard import Guard, RequestLog


def api(service: Service) -> FastAPI:
    """Return the API itself, which starts and ends the service with its server."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await run_in_threadpool(service.close)

    # No page of documentation: FastAPI's loads scripts from elsewhere.
    app = FastAPI(
        title="videostyle",
        version=__version__,
        summary="Paints pictures and films in the style of paintings.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # Operations by short names, which generated clients have: jobs_submit, uploads_create.
        generate_unique_id_function=lambda route: f"{route.tags[0]}_{route.name}",
    )
    app.state.service = service
    app.state.streams = {}
    app.state.views = routes_stills.Views()
    for module in (
        routes_images,
        routes_jobs,
        routes_stills,
        routes_styles,
        routes_uploads,
        routes_system,
    ):
        app.include_router(module.router)
    problems.install(app, service.plan.folders)
    openapi.install(app)
    return app


def application(service: Service, *, require_keys: bool = False) -> App:
    """Return the API behind its guard and its log; `require_keys` lets nobody in without a key."""
    return RequestLog(Guard(api(service), service, require_keys=require_keys), service)
