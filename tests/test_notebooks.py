"""The notebooks in examples/ run from top to bottom, and are kept with what they show."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
PLACE = re.compile(r"/(home|root|tmp|Users|usr)/")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_with_what_it_shows(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    printing = [
        cell for cell in book.cells if "print(" in cell.source and "def " not in cell.source
    ]
    assert printing and all(cell.outputs for cell in printing)
    assert any("image/png" in out.get("data", {}) for cell in printing for out in cell.outputs)
    assert not PLACE.search(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own assertions say whether what its text promises came about."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    book = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    NotebookClient(book, timeout=900, resources=folder).execute()
    assert all(cell.get("execution_count") for cell in book.cells if cell.cell_type == "code")
