"""Log of the service: a line of JSON for each event, on standard error, with the id of the request."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from videostyle.progress import log_to
from videostyle.text import sanitize_line

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being answered."""
_FIELDS = ("job", "client", "method", "route", "status", "milliseconds")


class JsonLines(logging.Formatter):
    """Writes records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": sanitize_line(record.getMessage()),
        }
        if found := request_id.get():
            line["request_id"] = found
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def json_log() -> Iterator[None]:
    """Write what the library logs in the block on standard error, as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    with log_to(handler):
        yield
