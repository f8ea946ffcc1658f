"""Training: photographs, paintings and a loss network in, a network and its style codes out."""

from videostyle.train.config import read_config
from videostyle.train.loop import train

__all__ = ["read_config", "train"]
