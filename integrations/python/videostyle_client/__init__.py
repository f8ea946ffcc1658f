"""Client of the videostyle service."""

from videostyle_client.client import Client, ServiceError
from videostyle_client.models import Job, Output, Progress, RenderSettings, Style, Upload

__all__ = ["Client", "Job", "Output", "Progress", "RenderSettings", "ServiceError", "Style", "Upload"]
