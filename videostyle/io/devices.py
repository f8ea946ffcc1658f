"""Devices and network streams: their names, how they are opened, and why that failed."""

from __future__ import annotations

import errno
import os
import sys

import av
from av.container import InputContainer

from videostyle.io.pyav import open_input

FORMATS = {"linux": "video4linux2,v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's name for the format of capture devices, by `sys.platform`."""


def is_device(name: str) -> bool:
    """Return True for a camera's number, and for the names of devices on Linux and on Windows."""
    return name.isdigit() or name.startswith(("/dev/", "video="))


def device_name(name: str) -> str:
    """Return FFmpeg's name on this system for the camera with this number or name."""
    if not name.isdigit():
        return name
    return f"/dev/video{name}" if sys.platform == "linux" else f"{name}:none"


def known_to_pyav(name: str) -> bool:
    """Return True if PyAV can open this device here; OpenCV opens the others."""
    # DirectShow knows cameras by name only; OpenCV numbers them.
    by_number = name.isdigit() and sys.platform == "win32"
    return not by_number and FORMATS.get(sys.platform) in av.formats_available


def open_url(name: str, stall: float) -> InputContainer:
    """Open a network stream; reads that take longer than `stall` seconds fail."""
    options = {"flags": "low_delay", "analyzeduration": "1000000"}  # µs; the default is five seconds
    if name.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # packets lost by UDP would show as smears
    return open_input(name, options=options, timeout=(stall, stall))


def open_device(device: str, size: tuple[int, int], fps: float) -> InputContainer:
    """Open a capture device, at this (width, height) and rate if it can, or else in its own format."""
    name, kind = device_name(device), FORMATS[sys.platform]
    try:
        return open_input(name, format=kind, options={"video_size": "{}x{}".format(*size), "framerate": f"{fps:g}"})
    except (av.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EBUSY):
            raise
        return open_input(name, format=kind)


def problem(name: str, error: BaseException) -> str:
    """Describe the problem of a device or a stream, and the remedy."""
    number = getattr(error, "errno", None)
    if "://" in name:
        if isinstance(error, (TimeoutError, av.error.ExitError)) or number == errno.ETIMEDOUT:
            return "the stream does not answer; check the address and the network"
        return f"the stream cannot be read ({getattr(error, 'strerror', None) or error}); check the address"
    if number in (errno.EACCES, errno.EPERM):
        return "no permission to use the camera; on Linux join the group that may (sudo usermod -aG video $USER)"
    if number == errno.ENOENT:
        found = sorted(f"/dev/{one}" for one in _listed("/dev") if one.startswith("video"))
        return f"no such camera; plug it in, or name another with --camera ({', '.join(found) or 'there is none here'})"
    if number == errno.EBUSY:
        return "another program uses the camera; close that first"
    if number in (errno.ENODEV, errno.EIO, errno.ENXIO):
        return "the camera is gone; is it still plugged in?"
    return f"the camera cannot be read ({getattr(error, 'strerror', None) or error}); is it a camera?"


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
