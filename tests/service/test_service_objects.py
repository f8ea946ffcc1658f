"""Files of jobs in an object store: what waits and what is done is there, and the folder holds running jobs only."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from media import film, times
from served import Served

from videostyle.errors import UsageError
from videostyle.service import core, storage
from videostyle.service.objects import Objects, StorageError

pytest.importorskip("fsspec")


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty store of each kind; s3 is moto's server on this computer: pip install 'moto[server]'."""
    if request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}"
    elif request.param == "file":
        yield f"file://{tmp_path}/store"
    else:
        pytest.importorskip("s3fs")
        server_module = pytest.importorskip("moto.server")
        server = server_module.ThreadedMotoServer("127.0.0.1", 0)
        server.start()
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("films")
        yield "s3://films/service"
        server.stop()


def test_a_film_waits_and_rests_in_the_store(serve: Callable[..., Served], address: str, tmp_path: Path) -> None:
    served = serve(objects=address)
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    assert list(served.plan.jobs_folder.iterdir()) == []
    store = Objects(address)
    assert store.jobs() == {job["id"]}
    served.work()
    assert list(served.plan.jobs_folder.iterdir()) == []
    done = served.get(job["urls"]["self"]).json()
    assert (done["status"], done["error"]) == ("succeeded", None)
    whole = served.get(done["urls"]["result"])
    (tmp_path / "out.mp4").write_bytes(whole.content)
    assert len(times(tmp_path / "out.mp4")) == 6
    assert whole.headers["content-type"] == "video/mp4"
    assert "in-dots.mp4" in whole.headers["content-disposition"]
    part = served.get(done["urls"]["result"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert served.get(done["urls"]["result"], headers={"Range": "bytes=100-"}).content == whole.content[100:]
    served.delete(job["urls"]["self"])
    assert served.get(done["urls"]["result"]).status_code == 410
    assert store.jobs() == set()


def test_a_job_that_was_not_finished_goes_on_from_the_store(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"memory://{uuid.uuid4().hex}"
    served = serve(objects=address)
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")

    def refuse(self: Objects, job: str, name: str, path: Path) -> None:
        raise StorageError("the service's storage cannot be used (TimeoutError); try again later")

    with monkeypatch.context() as down:
        down.setattr(Objects, "put", refuse)
        served.work()
        waiting = served.get(job["urls"]["self"]).json()
        assert waiting["status"] == "starting"
        assert "goes on later" in waiting["progress"]["note"]
        with pytest.raises(AssertionError, match="507"):
            served.submit(tmp_path / "in.mp4", style="dots")
    with served.service.database.transaction() as connection:
        connection.execute("UPDATE jobs SET not_before = 0")
    served.work()
    assert served.get(job["urls"]["self"]).json()["status"] == "succeeded"
    assert Objects(address).jobs() == {job["id"]}


def test_objects_of_no_job_are_removed_at_the_second_look(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_LOOK", -1.0)
    monkeypatch.setattr(core, "_SWEEP", 1e6)  # the sweeps are the test's own
    served = serve(objects=f"memory://{uuid.uuid4().hex}")
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    store = served.service.storage.objects
    assert store is not None
    stray = tmp_path / "stray"
    stray.write_bytes(b"x")
    store.put("job_stray", "file.mp4", stray)
    served.service.storage._strays = set()
    served.service.storage.sweep()
    assert store.jobs() == {job["id"], "job_stray"}
    served.service.storage.sweep()
    assert store.jobs() == {job["id"]}


@pytest.mark.parametrize("address", ["bucket/prefix", "nothing://x"])
def test_an_address_of_no_store_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--storage"):
        Objects(address)
