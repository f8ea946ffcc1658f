"""Compiled networks on disk: compiling one takes several times as long as reading it.

They are in the folder `openvino` of the user's cache ($VIDEOSTYLE_CACHE), one file for each network, size of picture,
processor and version of what compiles; the least recently used ones go when they exceed `MOST_BYTES` together. Where
the folder cannot be written or a file is damaged, networks are compiled as if there were none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from torch import nn

import videostyle
from videostyle.errors import VideostyleError
from videostyle.files import make_folder, read_regular_file
from videostyle.partial_files import atomic_write
from videostyle.weights.manifest import cache_folder

MOST_BYTES = 100_000_000
_SUFFIX = ".blob"
_DIGEST = hashlib.sha256().digest_size


def digest(net: nn.Module) -> str | None:
    """Return a checksum of the weights of a network and of the source files of its layers; None without a file."""
    found = hashlib.sha256(videostyle.__version__.encode())
    for module in sorted({type(each).__module__ for each in net.modules()}):
        # Layers of torch are of its version, which is part of the key.
        if not module.startswith("torch."):
            source = _source(getattr(sys.modules.get(module), "__file__", None))
            if source is None:
                return None
            found.update(source)
    found.update(repr(net).encode())
    for name, value in net.state_dict().items():
        found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


@lru_cache(maxsize=32)
def _source(file: str | None) -> bytes | None:
    with suppress(OSError):
        return read_regular_file(file) if file is not None else None
    return None


def load(key: str) -> bytes | None:
    """Return what was stored under `key`; None if there is nothing or it is damaged."""
    path = _path(key)
    with suppress(OSError):
        content = read_regular_file(path)
        os.utime(path)
        if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
            return content[_DIGEST:]
    return None


def store(key: str, compiled: bytes) -> None:
    """Store `compiled` under `key`, where that is possible, and remove the least recently used others."""
    path = _path(key)
    with suppress(VideostyleError, OSError):
        make_folder(path.parent)
        atomic_write(path, hashlib.sha256(compiled).digest() + compiled, sync=False)
        found = [(one.stat(), one) for one in path.parent.glob(f"*{_SUFFIX}")]
        total = sum(about.st_size for about, _ in found)
        for about, one in sorted(found, key=lambda pair: pair[0].st_mtime):
            if total <= MOST_BYTES:
                break
            one.unlink(missing_ok=True)
            total -= about.st_size


def _path(key: str) -> Path:
    return cache_folder("openvino") / (hashlib.sha256(key.encode()).hexdigest() + _SUFFIX)
