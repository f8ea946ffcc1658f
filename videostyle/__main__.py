"""`python -m videostyle`."""

from videostyle.cli import entry

entry()
