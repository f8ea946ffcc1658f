"""A virtual camera: other programs see the stylized frames as a webcam."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from videostyle.errors import MissingDependencyError, SinkError
from videostyle.types import Frame

_DRIVERS = (
    "Linux needs v4l2loopback (sudo apt install v4l2loopback-dkms; sudo modprobe v4l2loopback), "
    "Windows and macOS need OBS Studio, started once"
)


class VirtualCamera:
    """Sends each frame that is written to it to a virtual camera, by pyvirtualcam."""

    def __init__(self, size: tuple[int, int], fps: float, device: str = "") -> None:
        """Open the virtual camera for frames of `size` (width, height); `device` "" is the first one found.

        Otherwise `device` is a path such as /dev/video2 or a name. Raises MissingDependencyError without pyvirtualcam,
        SinkError without a driver.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            raise MissingDependencyError("a virtual camera needs pyvirtualcam: pip install pyvirtualcam") from error
        try:
            self._camera = pyvirtualcam.Camera(*size, fps, device=device or None)
        except (RuntimeError, OSError, ValueError) as error:
            found = " ".join(str(error).split())
            raise SinkError(f"no virtual camera to send to: {_DRIVERS} ({found})") from error
        self.warnings: list[str] = []
        self.device: str = self._camera.device

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()

    def write(self, frame: Frame) -> None:
        """Send `frame`; raise SinkError where the virtual camera is gone."""
        try:
            self._camera.send(frame.pixels.permute(1, 2, 0).contiguous().numpy())
        except (RuntimeError, OSError) as error:
            raise SinkError(f"{self.device}: the virtual camera takes no more pictures ({error})") from error
