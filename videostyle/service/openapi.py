"""OpenAPI description of the API, with the models of requests that come as a form or as JSON."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from videostyle.service.schema import JobRequest, StillRequest, StyleRequest

_REFERENCE = "#/components/schemas/{model}"


def form_body(model: str, *, file_required: bool) -> dict[str, Any]:
    """Return the request's body: a form with a file and the model's fields, or the model as JSON."""
    reference = {"$ref": _REFERENCE.format(model=model)}
    binary = {"type": "string", "format": "binary"}
    form: dict[str, Any] = {
        "type": "object",
        "properties": {
            "file": binary | {"description": "the film or picture"},
            "style": binary | {"description": "a picture whose style is predicted, or the id upload_style in settings"},
            "mask": binary | {"description": "paint where it is white; the id upload_mask in settings"},
            "settings": {"$ref": _REFERENCE.format(model="RenderSettings")},
            "format": {"type": "string"},
            "webhook": {"type": "string", "format": "uri"},
        },
    }
    if model == "StyleRequest":
        form["properties"] = {
            "file": binary | {"description": "the picture"},
            "name": {"type": "string"},
            "minutes": {"type": "number"},
            "network": {"type": "string"},
            "webhook": {"type": "string", "format": "uri"},
        }
    if file_required:
        form["required"] = ["file"]
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": reference}}
    return {"requestBody": {"required": True, "content": content}}


def install(app: FastAPI) -> None:
    """Let an app describe these requests."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            _, models = models_json_schema(
                [(one, "validation") for one in (JobRequest, StyleRequest, StillRequest)], ref_template=_REFERENCE
            )
            made["components"]["schemas"] |= models["$defs"]
            made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"key": []}, {}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]
