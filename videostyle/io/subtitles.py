"""Transcoding of text subtitles, line by line; a line that cannot be decoded is left out."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import SubtitleSet

from videostyle.io.pyav import time_base_of

_TICKS = 1000  # per second
_LENGTH = 2  # bytes of the length field before the text of a mov_text packet


class SubtitleTranscoder:
    """Encodes one stream of text subtitles anew in another codec."""

    def __init__(self, output: OutputContainer, decoder: SubtitleCodecContext, encoder: str) -> None:
        """Add a stream to the output.

        Raises av.FFmpegError or ValueError where the source's stream cannot be decoded, or the output cannot hold it.
        """
        decoder.open(strict=False)
        self._output = output
        self._decoder = decoder
        self.stream = output.add_stream(encoder)
        context = self.stream.codec_context
        assert isinstance(context, SubtitleCodecContext)
        context.subtitle_header = decoder.subtitle_header
        context.time_base = Fraction(1, _TICKS)
        self._encoder = context
        self._converted = 0
        self._unread = 0

    def __call__(self, packet: Packet[Any], shift: Fraction) -> None:
        """Transcode the stream's next packet, `shift` seconds earlier than its timestamp."""
        lines = self._lines(packet)
        if lines is None or not len(lines) or packet.pts is None:
            return
        try:
            written = self._encoder.encode_subtitle(lines)
        except (av.FFmpegError, ValueError):
            self._unread += 1
            return
        written.stream = self.stream
        written.time_base = Fraction(1, _TICKS)
        written.pts = written.dts = round((packet.pts * time_base_of(packet) - shift) * _TICKS)
        written.duration = round((packet.duration or 0) * time_base_of(packet) * _TICKS)
        self._output.mux(written)

    def _lines(self, packet: Packet[Any]) -> SubtitleSet | None:
        """Decode the lines of a packet; None where they cannot be decoded."""
        try:
            return self._decoder.decode2(packet)
        except (av.FFmpegError, ValueError):
            again = self._as_utf8(packet)
        try:
            lines = self._decoder.decode2(again)
        except (av.FFmpegError, ValueError):
            self._unread += 1
            return None
        self._converted += 1
        return lines

    def _as_utf8(self, packet: Packet[Any]) -> Packet[Any]:
        """Convert a packet's text to UTF-8, which FFmpeg requires; old programs wrote their system's code page."""
        raw = bytes(packet)
        skip = _LENGTH if self._decoder.codec.canonical_name == "mov_text" else 0
        text = raw[skip:].decode("cp1252", "replace").encode()
        again: Packet[Any] = Packet(len(text).to_bytes(skip, "big") + text if skip else text)
        again.pts, again.dts, again.duration = packet.pts, packet.dts, packet.duration
        again.time_base = packet.time_base
        return again

    def remarks(self) -> list[str]:
        """Describe the lines that were converted or left out."""
        found = []
        if self._converted:
            found.append(f"{self._converted} not in UTF-8, read as Windows-1252")
        if self._unread:
            found.append(f"{self._unread} left out because they cannot be decoded")
        return found
