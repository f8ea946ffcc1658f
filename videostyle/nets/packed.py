"""Entropy coding of small integers: the weights of the small loss network.

The rounded weights of a network are mostly 0 and ±1, with a few large ones: a Huffman code stores them in little more
than their entropy, and no weight has to be clipped. zlib contains a Huffman coder and comes with Python.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def pack(numbers: Tensor) -> Tensor:
    """Compress integers from -32768 to 32767, of any shape, to a zlib stream of bytes (uint8, one dimension).

    Zigzag order (0, -1, 1, -2...) makes small numbers small bytes; all low bytes come first, then all high bytes, which
    are long runs of zeros. Raises ValueError for a number out of range.
    """
    values = numbers.flatten().numpy().astype(np.int64)
    if values.size and not -32768 <= values.min() <= values.max() <= 32767:
        raise ValueError(f"numbers must fit 16 bits, got {values.min()} to {values.max()}")
    zigzag = np.where(values < 0, -2 * values - 1, 2 * values).astype("<u2")
    planes = zigzag.view(np.uint8).reshape(-1, 2).T.tobytes()
    # Run lengths and a Huffman code, no search for repeated strings: there are none, and the search makes it larger.
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return torch.from_numpy(np.frombuffer(coder.compress(planes) + coder.flush(), np.uint8).copy())


def unpack(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """Decompress the numbers that `pack` packed, as float32 of this `shape`; raises ValueError if the count differs."""
    try:
        planes = np.frombuffer(zlib.decompress(packed.numpy().tobytes()), np.uint8)
    except zlib.error as error:
        raise ValueError(f"damaged ({error})") from error
    if planes.size != 2 * math.prod(shape):
        raise ValueError(f"{planes.size // 2} numbers packed, {math.prod(shape)} needed")
    low, high = planes.astype(np.int32).reshape(2, -1)
    zigzag = low + 256 * high
    values = np.where(zigzag % 2, -(zigzag + 1) // 2, zigzag // 2)
    return torch.from_numpy(values.astype(np.float32)).reshape(*shape)
