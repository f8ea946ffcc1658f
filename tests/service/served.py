"""A service in the test's own process: its API, and a worker that carries out jobs."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn
from starlette.testclient import TestClient

from videostyle.hosting.addresses import bind, server_config
from videostyle.service.app import application
from videostyle.service.core import Service
from videostyle.service.painters import SupersededError
from videostyle.service.plan import ServicePlan
from videostyle.service.tasks import Failure, carry_out, failure
from videostyle.service.worker import Worker


class Served:
    """A started service; `get`, `post` and so on are requests to it."""

    def __init__(
        self, plan: ServicePlan, require_keys: bool = False, app: Callable[[Service], Any] | None = None
    ) -> None:
        self.plan = plan
        self.service = Service(plan)
        in_this_process(self.service)
        self.app = app(self.service) if app else application(self.service, require_keys=require_keys)
        self._client = TestClient(self.app, base_url="http://127.0.0.1:8000")
        self._stack = ExitStack()
        self._stack.enter_context(self._client)
        for name in ("get", "post", "patch", "put", "head", "options", "delete", "request", "stream"):
            setattr(self, name, getattr(self._client, name))

    def upload(self, path: Path) -> str:
        """Upload a file, and return its id."""
        tus = {"Tus-Resumable": "1.0.0"}
        name = base64.b64encode(path.name.encode()).decode()
        headers = {**tus, "Upload-Length": str(path.stat().st_size), "Upload-Metadata": f"filename {name}"}
        where = self.post("/v1/uploads", headers=headers).headers["location"]  # type: ignore[attr-defined]
        body = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        assert self.patch(where, content=path.read_bytes(), headers=body).status_code == 204  # type: ignore[attr-defined]
        return str(where.rpartition("/")[2])

    def work(self) -> None:
        """Carry out the jobs that wait, in this thread."""
        queue = self.service.queue
        worker = Worker(self.plan, queue, lambda: False)
        with queue.lock_of(worker.name):
            while (job := queue.claim(worker.name)) is not None:
                worker.carry_out(job)

    def submit(self, film: Path, headers: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
        """Submit a film, and return the job."""
        with film.open("rb") as file:
            answer = self.post(  # type: ignore[attr-defined]
                "/v1/jobs", files={"file": (film.name, file)}, data={"settings": json.dumps(settings)}, headers=headers
            )
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def close(self) -> None:
        """End the service, once."""
        self._stack.close()


class Listening:
    """A service that listens at `address`, with a worker in a thread."""

    def __init__(self, plan: ServicePlan, *, require_keys: bool = False, works: bool = True) -> None:
        self.service = Service(plan)
        in_this_process(self.service)
        self._listener = bind("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        app = application(self.service, require_keys=require_keys)
        self._server = uvicorn.Server(server_config(app))
        worker = Worker(plan, self.service.queue, lambda: self._server.should_exit)
        self._threads = [threading.Thread(target=worker.run)] if works else []
        self._threads.append(threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}))
        for thread in self._threads:
            thread.start()
        while not self._server.started:
            assert self._threads[-1].is_alive(), "the server ended before it listened"
            time.sleep(0.01)

    def close(self) -> None:
        """End the worker and the server."""
        self._server.should_exit = True
        for thread in self._threads:
            thread.join()
        self._listener.close()


def in_this_process(service: Service) -> None:
    """Carry out the painters' tasks in this process, where starting one takes no seconds, and recover no jobs."""

    async def run(
        client: str, task: Any, *, limited: bool = True, is_wanted: Callable[[], bool] = lambda: True
    ) -> dict[str, Any] | Failure:
        if not is_wanted():
            raise SupersededError("a newer request has come meanwhile")
        try:
            return carry_out(task)
        except Exception as error:
            return failure(error, (service.plan.data,))

    for painters in (service.painters, service.cameras, service.examiners):
        painters.run = run  # type: ignore[method-assign]
        painters.warm_up = lambda: None  # type: ignore[method-assign]
        for one in painters._painters:
            one.is_warm = True
    service.queue.dead_workers = list  # type: ignore[method-assign]  # its workers are the test's own
