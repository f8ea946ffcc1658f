"""Messages for visitors, without the folders of this computer."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from videostyle.errors import VideostyleError
from videostyle.weights import models_folder, styles_folder


def without_folders(text: str, folders: Iterable[Path] = ()) -> str:
    """Return `text` without the folders of this computer: a page shows the names of files, never their folders."""
    known = [*folders, Path(tempfile.gettempdir()), Path.cwd(), Path.home(), styles_folder()]
    with suppress(VideostyleError):  # there are no models, and the text may be about that
        known.append(models_folder())
    for folder in sorted({str(one) for one in known} - {"/"}, key=len, reverse=True):
        # Subfolders are removed, too; their names may have spaces.
        text = re.sub(re.escape(folder) + r"(?:/[^/\n:'\"]*[^/\s:'\"](?=/))*/?", "", text)
    # Routes of the API are no folders.
    return re.sub(r"(?<![\w/.~<-])/(?!v1/)(?:[^\s/:;,'\"<>]+/)+", "", text)
