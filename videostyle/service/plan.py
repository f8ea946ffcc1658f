"""Settings of the service, as plain data, and the files of its data folder."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.settings import check_choice, check_number

ROLES = ("all", "api", "worker")
EXECUTORS = ("thread", "ray")


@dataclass(frozen=True)
class ServicePlan:
    """A service: its folder, its processes and its limits."""

    data: Path
    """Folder of the queue, on a local disk, and of the files where `files` is None."""
    files: Path | None = None
    """Folder of uploads, jobs and styles, where it is another: with `executor` ray, one that every node sees."""
    executor: str = "thread"
    """Name of what paints: thread (processes of this computer), or ray (a cluster)."""
    address: str | None = None
    """Address of the Ray cluster; auto is the one that this computer belongs to."""
    workers: int = 1
    """Processes that carry out jobs."""
    painters: int = 1
    """Processes that paint pictures while their clients wait."""
    engine: str = "auto"
    device: str = "auto"
    largest: int = 2_000_000_000
    """Bytes of the largest upload."""
    largest_picture: int = 50_000_000
    """Bytes of the largest upload that is painted while the client waits."""
    pixels: int = 40_000_000
    """Pixels of a picture or a film's frame, uploaded or painted; somewhat more than 8K."""
    minutes: float = 60.0
    """Length of the longest film."""
    learn_minutes: float = 30.0
    """Longest time for learning a style; 0 allows predicted styles only."""
    jobs: int = 5000
    """Jobs that may wait or run, of all clients."""
    jobs_each: int = 500
    """Jobs of one client that may wait or run."""
    pictures_each: int = 8
    """Pictures of one client that may wait or be painted at a time."""
    pictures: int = 64
    """Pictures of all clients that may wait or be painted at a time."""
    picture_seconds: float = 120.0
    """Longest time for one picture."""
    objects: str = ""
    """Object store for the files of waiting and finished jobs, as s3://bucket/prefix; "" keeps them in the folder."""
    storage: int = 50_000_000_000
    """Bytes of uploads and results together."""
    keep: float = 86_400.0
    """Seconds for which results and unused uploads are kept."""
    allow_urls: bool = False
    """Let clients name a film by its address, which a worker downloads."""
    allow_webhooks: bool = False
    """Let clients name an address that is told when a job has ended."""
    networks: tuple[str, ...] = ()
    """Private networks that may be connected to all the same, as 10.0.0.0/8."""

    def __post_init__(self) -> None:
        check_choice("executor", self.executor, EXECUTORS)
        if self.executor == "ray" and not self.address:
            raise UsageError("--executor ray needs --address: of the cluster's head, or auto on a node of it")
        for name in ("workers", "painters"):
            check_number(name, getattr(self, name), 0, 1024, whole=True)
        for name in ("largest", "largest_picture", "pixels", "jobs", "jobs_each", "pictures_each", "pictures"):
            check_number(name, getattr(self, name), 1, None, whole=True)
        check_number("storage", self.storage, 1, None, whole=True)
        check_number("minutes", self.minutes, 0, None)
        check_number("learn_minutes", self.learn_minutes, 0, 1440)
        check_number("picture_seconds", self.picture_seconds, 1, None)
        check_number("keep", self.keep, 1, None)
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise UsageError(f"{network}: is not a network such as 10.0.0.0/8 ({error})") from error

    @property
    def database(self) -> Path:
        """File of the queue."""
        return self.data / "service.sqlite"

    @property
    def shared(self) -> Path:
        """Folder of the files."""
        return self.files or self.data

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of the service, which no message names."""
        return tuple(dict.fromkeys((self.data, self.shared)))

    @property
    def jobs_folder(self) -> Path:
        """Folder with a folder for each job."""
        return self.shared / "jobs"

    @property
    def uploads_folder(self) -> Path:
        """Folder of resumable uploads."""
        return self.shared / "uploads"

    @property
    def styles_folder(self) -> Path:
        """Folder of the clients' own styles."""
        return self.shared / "styles"

    @property
    def temporary(self) -> Path:
        """Folder of pictures that are being painted, and of requests that are arriving."""
        return self.shared / "temporary"

    @property
    def locks(self) -> Path:
        """Folder of the workers' lock files."""
        return self.data / "workers"

    def make_folders(self) -> None:
        """Create the folders of the service, which nobody else may read."""
        from videostyle.files import make_folder

        for folder in self.folders:
            make_folder(folder)
            folder.chmod(0o700)
        for folder in (self.jobs_folder, self.uploads_folder, self.styles_folder, self.temporary, self.locks):
            make_folder(folder)
