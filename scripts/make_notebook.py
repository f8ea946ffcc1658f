"""Run examples/painting.ipynb from its beginning, and save it with what it shows.

    python scripts/make_notebook.py

Needs nbclient and ipykernel.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "examples" / "painting.ipynb"


def executed(path: Path) -> Any:
    """Return a notebook with what its cells show; raises CellExecutionError where one fails."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    here = [str(path.parents[1]), str(path.parents[1] / "integrations" / "python"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(here)}
    client = NotebookClient(
        notebook, timeout=1200, resources={"metadata": {"path": str(path.parent)}}, record_timing=False
    )
    with client.setup_kernel(env=env):
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # What libraries say on standard error is of the machine that ran it.
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            cell.metadata = {}
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    import nbformat

    nbformat.write(executed(NOTEBOOK), NOTEBOOK)


if __name__ == "__main__":
    main()
