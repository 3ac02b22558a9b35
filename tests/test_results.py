"""The registry of benchmarks, the records of runs, and the page that is made from these."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from schemas import faults

from benchmarks.registry import BENCHMARKS, PARTS, Figure, Size, Unit, benchmark
from benchmarks.replications import REPLICATIONS
from benchmarks.results_page import PAGE, RESULTS, figure, page, records
from benchmarks.run import Missing, package_version, require, versions, without_places, words

ROOT = Path(__file__).parents[1]
MACHINERY = {"registry", "run", "results_page", "replications"}
FILES = sorted(RESULTS.glob("*.json"))


def script(command: str) -> str:
    """``debug`` of ``-m benchmarks.debug …`` and of ``benchmarks/debug.py …``."""
    found = re.match(r"-m benchmarks\.(\w+)|benchmarks/(\w+)\.py", command)
    assert found is not None, command
    return found[1] or found[2]


def test_every_script_is_a_benchmark_or_a_part_of_one() -> None:
    registered = {script(one.full) for one in BENCHMARKS}
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - MACHINERY
    assert there == registered | {part for part in PARTS}


def test_names_are_unique_and_quick_runs_stay_below_ten_minutes() -> None:
    names = [one.name for one in BENCHMARKS]
    assert len(set(names)) == len(names)
    assert sum(one.cpu_seconds[0] or 0 for one in BENCHMARKS) <= 600
    assert all((one.quick is None) == (one.cpu_seconds[0] is None) for one in BENCHMARKS)


def test_the_page_is_what_the_records_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_is_whole_and_has_its_figures(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    assert faults(record, "record") == []
    assert path.stem == f"{record['name']}-{record['size']}"
    one = benchmark(record["name"])
    assert one is not None
    assert script(record["command"].removeprefix("python ")) == script(one.full)
    if record["result"] is not None:
        assert all(figure(record, wanted) for wanted in one.figures)
    assert not re.search(r"(?<![\w.])/(home|tmp|work|root)/", path.read_text(encoding="utf-8"))


def test_a_replication_names_a_figure_or_says_why_there_is_none() -> None:
    known = records()
    for row in REPLICATIONS:
        assert row.why or row.measured is not None
        if row.measured is not None:
            name, size, wanted = row.measured
            assert benchmark(name) is not None
            if known.get((name, size), {}).get("result") is not None:
                assert all(figure(known[name, size], one) for one in wanted)


def test_a_list_counts_as_its_length_only_where_that_is_wanted() -> None:
    record, place = {"result": {"rows": [{}, {"wrong": [0, 0]}]}}, ("rows", 1, "wrong")
    assert figure(record, Figure("wrong", place, Unit.LENGTH)) == "2"
    assert figure(record, Figure("wrong", (*place, 1))) == "0"
    for other, unit in ((place, Unit.COUNT), ((*place, 1), Unit.LENGTH)):
        with pytest.raises(TypeError, match="expected a list under LENGTH"):
            figure(record, Figure("wrong", other, unit))
    assert figure({"result": {"share": 0.5}}, Figure("", ("share",), Unit.PERCENT)) == "50.0%"


def test_what_a_benchmark_needs_is_said(tmp_path: Path) -> None:
    one = benchmark("acasxu")
    assert one is not None
    with pytest.raises(Missing, match="make peers"):
        require(one, Size.FULL, tmp_path, tmp_path / "python")
    with pytest.raises(Missing, match="no quick command"):
        words(one, Size.QUICK, out="", peers="", data="")
    with pytest.raises(Missing, match="--data FOLDER"):
        require(one, Size.FULL, tmp_path / "none", tmp_path)


def test_the_version_on_record_is_that_of_the_source(tmp_path: Path) -> None:
    """An editable installation keeps the number it was made with."""
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "precond"\nversion = "9.8.7"\n', encoding="utf-8")
    assert package_version(file) == "9.8.7"
    assert f'version = "{versions()["precond"]}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    file.write_text("[project]\n", encoding="utf-8")
    with pytest.raises(Missing, match="no line version"):
        package_version(file)


def test_folders_of_the_machine_are_left_out() -> None:
    assert without_places("in /here/there/x.py and /here", ["/here"]) == "in there/x.py and "
