"""The pictures of ``docs/ideas.md`` show what the network does: every cell, exactly."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from precond import record

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def ideas() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_ideas", DOCS / "draw_ideas.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def area(corners: np.ndarray) -> float:
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def test_cells_cover_the_square_and_have_their_signature_and_class(ideas: ModuleType) -> None:
    cells = ideas.cells()
    assert sum(area(cell.corners) for cell in cells) == pytest.approx(2.4**2)
    middles = np.array([cell.corners.mean(axis=0) for cell in cells])
    seen = record(ideas.network(), middles)
    on = np.concatenate([seen.decisions("relu1"), seen.decisions("relu2")], axis=1)
    assert np.array_equal(on, [[*cell.on[0], *cell.on[1]] for cell in cells])
    assert np.array_equal(seen.predicted, [cell.label for cell in cells])


def test_the_network_fits_its_data(ideas: ModuleType) -> None:
    points, labels = ideas.moons()
    assert (record(ideas.network(), points).predicted == labels).mean() > 0.95


def test_the_page_shows_every_picture() -> None:
    shown = set(re.findall(r"images/(idea-\w+\.svg)", (DOCS / "ideas.md").read_text("utf-8")))
    assert shown == {path.name for path in (DOCS / "images").glob("idea-*.svg")}
