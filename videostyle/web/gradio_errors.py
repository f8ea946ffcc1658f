"""Errors of the page's functions, as Gradio shows them. Imports Gradio; call `server.require_gradio` first."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import gradio as gr

from videostyle.errors import VideostyleError, too_little
from videostyle.hosting.messages import without_folders
from videostyle.text import sanitize_line
from videostyle.web.jobs import Stopped, visitor

P = ParamSpec("P")
T = TypeVar("T")


def as_gradio_error(function: Callable[P, T], folders: Sequence[Path] = ()) -> Callable[..., T]:
    """Wrap a function for Gradio: it runs for the requesting visitor, and its errors are shown without `folders`."""

    def call(request: gr.Request, *args: P.args, **kwargs: P.kwargs) -> T:
        token = visitor.set((request and request.session_hash) or "")
        try:
            return function(*args, **kwargs)
        except VideostyleError as error:
            raise _gradio_error(str(error), folders) from error
        except (Stopped, KeyboardInterrupt) as error:  # KeyboardInterrupt when the server is asked to end
            raise _gradio_error(str(error) or "nothing is kept", folders, title="Stopped") from error
        except Exception as error:
            unexpected = f"unexpected {type(error).__name__}"
            print(f"videostyle: {unexpected}: {sanitize_line(error)}", file=sys.stderr, flush=True)
            message = too_little(error) or f"{unexpected}; the server's terminal says more"
            raise _gradio_error(message, folders) from error
        finally:
            visitor.reset(token)

    for name in ("__name__", "__qualname__", "__doc__"):
        setattr(call, name, getattr(function, name, name))
    return call


def _gradio_error(text: str, folders: Sequence[Path], title: str = "Error") -> gr.Error:
    return gr.Error(html.escape(sanitize_line(without_folders(text, folders))), title=title, print_exception=False)
