"""Web server of the page: reachable from this computer only, or with a token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from videostyle.errors import MissingDependencyError
from videostyle.hosting.asgi import App
from videostyle.hosting.auth import Auth
from videostyle.hosting.limits import LARGEST
from videostyle.privacy import disable_telemetry
from videostyle.web.gateway import Gateway, Visitors

if TYPE_CHECKING:
    from gradio import Blocks


def require_gradio(temporary: Path | None = None) -> None:
    """Import Gradio, without telemetry and with its files in `temporary`; raise MissingDependencyError."""
    disable_telemetry()
    if temporary is not None:
        os.environ["GRADIO_TEMP_DIR"] = str(temporary / "gradio")
    try:
        import gradio  # noqa: F401
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("the page needs Gradio: pip install gradio") from error
    # Gradio decodes the pictures of the camera; Pillow refuses pictures with twice as many pixels as this.
    Image.MAX_IMAGE_PIXELS = LARGEST // 2


def application(
    page: Blocks,
    work: Path,
    token: str | None,
    visitors: Visitors,
    cookie: str = "videostyle",
) -> App:
    """Return the app that serves the page and the files in `work`/media, behind `Auth` and `Gateway`."""
    import gradio
    from fastapi import FastAPI
    from starlette.staticfiles import StaticFiles

    # Error pages show no paths of this computer.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/media", StaticFiles(directory=work / "media"))
    here = Path(__file__).parent
    # System fonts: the page works without a network, and no font server learns that it is open.
    theme = gradio.themes.Default(
        primary_hue="orange",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    app = gradio.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        ssr_mode=False,
        show_error=False,
        theme=theme,
        css=(here / "page.css").read_text(encoding="utf-8"),
    )
    return Auth(Gateway(app, visitors), token, cookie)
