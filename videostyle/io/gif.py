"""Reduction of pictures to the colours of a GIF."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.filter import Graph

from videostyle.io.pyav import time_base_of


class GifQuantizer:
    """Reduces pictures to 256 colours of their own for GIF; one colour table for each keeps the memory bounded.

    Ordered dithering keeps still areas unchanged from picture to picture, which error diffusion does not.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None

    def __call__(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame | None]:
        """Yield pictures for the encoder; None, the end of the film, is passed on."""
        if picture is None:
            yield None
            return
        if self._graph is None:
            self._graph = self._build(picture)
        base, duration = time_base_of(picture), picture.duration
        self._graph.vpush(picture)
        while True:
            try:
                ready = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            ready.time_base, ready.duration = base, duration
            yield ready

    def _build(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=time_base_of(picture)
        )
        split = graph.add("split")
        colors = graph.add("palettegen", stats_mode="single", reserve_transparent="1")
        use = graph.add("paletteuse", new="1", dither="bayer", bayer_scale="3", alpha_threshold="128")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(colors, 1, 0)
        colors.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        return graph
