"""The table of operators is what both readers dispatch by, and what the documentation shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from precond.formats.lowering import table
from precond.formats.onnx.operators import OPERATORS as ONNX
from precond.formats.onnx.schema import VERSIONS
from precond.formats.torch.operators import OPERATORS as TORCH

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_both_readers_agree_with_the_table() -> None:
    onnx = Counter(name for one in table.OPERATIONS for name in one.onnx)
    torch = Counter(name for one in table.OPERATIONS for name in one.torch)
    assert onnx == Counter([*ONNX]) == Counter([*VERSIONS])  # each name once
    assert torch == Counter([*TORCH])


def test_the_page_is_written_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == table.page()


def test_what_is_refused_is_not_read() -> None:
    """A name may be both only where it depends on more than the name."""
    read = {name.replace("_", "").lower() for name in (*ONNX, *TORCH)}
    refused = {name for _, names, _ in table.REFUSED for name in names}
    assert read & refused == {"sigmoid", "pow", "thresholdedrelu"}
