"""Networks of every sort as the torch exporters write them: each works, or is refused with what
to do; there is no third answer.  ``docs/networks.md`` is what the benchmark says of more opsets."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from clocks import slow_but

from benchmarks.own_networks import SORTS, Sort, row_of

PAGE = (Path(__file__).parents[1] / "docs" / "networks.md").read_text(encoding="utf-8")
QUICK = ("binary, sigmoid", "two inputs", "GELU inside")


@pytest.mark.parametrize("sort", slow_but([s for s in SORTS if s.name in QUICK], SORTS), ids=str)
def test_a_sort_of_network_works_or_is_refused_with_a_remedy(sort: Sort) -> None:
    """``row_of`` raises for anything else; the commands run on one file of each exporter."""
    dynamo = (18,) if find_spec("onnxscript") else ()  # what the newer exporter needs
    row = row_of(sort, script=(11, 17), dynamo=dynamo)
    newer = {"dynamo=True": dynamo} if dynamo else {}
    assert row.opsets == {"dynamo=False": (11, 17), **newer, ".pt2": (0,)}
    assert (row.files, row.runs) == (3 + len(dynamo), 3 + len(dynamo) + (2 + len(dynamo)) * 4)
    assert row.largest <= 1e-5
    assert re.search(rf"^\| {re.escape(sort.name)} \| {row.answer} \|", PAGE, re.MULTILINE)


def test_the_page_has_two_answers_and_every_sort() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (works|refused, with what to do) \| \S", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == [sort.name for sort in SORTS]
    assert len(rows) + 2 == sum(line.startswith("|") for line in PAGE.splitlines())
