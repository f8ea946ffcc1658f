"""Routes for those who run the service: health, readiness, metrics."""

from __future__ import annotations

import shutil

from fastapi import APIRouter, Response

from videostyle.service.common import TheService
from videostyle.service.problems import Problem
from videostyle.service.storage import LEAST_FREE
from videostyle.service.views import ERRORS, Ready

router = APIRouter(tags=["system"], responses=ERRORS)


@router.get("/healthz", response_model=Ready)
def health() -> dict[str, str]:
    """Answer while the process lives."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Ready)
def ready(service: TheService) -> dict[str, object]:
    """Answer 200 while requests can be taken: painters are ready, the queue can be written, the disk has room."""
    if not service.is_ready or not service.painters.is_warm:
        raise Problem(503, "the service is starting or ending", {"Retry-After": "5"})
    with service.database.transaction():
        pass
    if shutil.disk_usage(service.plan.shared).free < LEAST_FREE:
        raise Problem(503, "the service's disk is full")
    return {"status": "ok", "workers": service.workers.alive}


@router.get("/metrics", response_class=Response)
def metrics(service: TheService) -> Response:
    """Return the metrics in Prometheus's text format."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
