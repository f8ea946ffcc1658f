"""Devices of a training run: this process alone, or one of several that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from videostyle.errors import UsageError


@dataclass(frozen=True, slots=True)
class Devices:
    """Device and rank of one process among those that train together."""

    name: str
    """Name of the device: cpu, or cuda:N."""
    rank: int
    count: int

    @property
    def kind(self) -> str:
        """Name of the device without its number."""
        return self.name.partition(":")[0]

    @property
    def first(self) -> bool:
        """True for the one process that writes files."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum `values` over all processes."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
        return values

    def parts(self, batch: int, accumulate: int) -> list[range]:
        """Return the places of this process in a batch, in parts that are computed one after another."""
        share = batch // self.count
        size, start = share // accumulate, self.rank * share
        return [range(start + i, start + i + size) for i in range(0, share, size)]


@contextmanager
def devices(batch: int, accumulate: int) -> Iterator[Devices]:
    """Join the group that torchrun's environment names, if any; leave it at the end.

    Raises UsageError if a batch of this size cannot be divided evenly.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if batch % (count * accumulate):
        raise UsageError(f"batch = {batch} cannot be divided among {count} processes in {accumulate} parts each")
    cuda = torch.cuda.is_available()
    if count == 1:
        yield Devices("cuda" if cuda else "cpu", 0, 1)
        return
    name = f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(name)
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Devices(name, rank, count)
    finally:
        torch.distributed.destroy_process_group()
