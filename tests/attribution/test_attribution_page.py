"""The code in docs/attribution.md runs, and its prose names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

PAGE = Path(__file__).parents[2] / "docs" / "attribution.md"


def test_the_code_runs_and_gives_the_shapes_it_says() -> None:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("fc1", nn.Linear(12, 8))
    model.add_module("relu1", nn.ReLU())
    model.add_module("fc2", nn.Linear(8, 10))
    names = {"model": model, "x": torch.rand(3, 12), "X": torch.rand(40, 12)}
    names["y"] = np.arange(40) % 10
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, names)
    assert names["a"].values.shape == (3, 12)
    assert names["a"].completeness.max() < 1e-5
    assert names["chi"].values.shape == (10, 1, 8)


def test_pictures_on_the_page_are_there() -> None:
    for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / link).is_file(), link
