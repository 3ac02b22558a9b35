"""``RESULTS.md``, made from the records in ``benchmarks/results`` and from nothing else.

    python -m benchmarks.results_page

First a table of figures, then the replications of what others published, then what each
benchmark printed, with its command, revision, machine and versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.registry import BENCHMARKS, Benchmark, Figure, Size, Unit
from benchmarks.replications import REPLICATIONS, Replication

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "RESULTS.md"
PRINTED = 60  # lines of what a benchmark printed

Record = dict[str, Any]
Records = Mapping[tuple[str, Size], Record]


def records(folder: Path = RESULTS) -> dict[tuple[str, Size], Record]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {(one["name"], Size(one["size"])): one for one in found}


def figure(record: Record, wanted: Figure) -> str:
    """The number, as it is written; a list only where its length is wanted."""
    value = record["result"]
    for key in wanted.place:
        value = value[key]
    if isinstance(value, list) != (wanted.unit is Unit.LENGTH):
        raise TypeError(f"{wanted.what}: expected a list under LENGTH, and nowhere else")
    return wanted.unit.value.format(len(value) if isinstance(value, list) else value)


def page(folder: Path = RESULTS) -> str:
    kept = records(folder)
    parts = [*_head(), *_figures(kept), *_replications(kept), *_runs(kept), *_missing(kept)]
    return "\n".join(parts).rstrip() + "\n"


def _head() -> Iterator[str]:
    yield "# Results"
    yield ""
    yield (
        "Made by `python -m benchmarks.results_page` from the JSON in `benchmarks/results`; nothing"
        " here is typed. `make bench-quick` and `make bench NAME=…` write that JSON: with the"
        " command, the revision, the machine, the versions and the seed."
    )
    yield ""
    yield (
        "*Load* is the number of processes that wanted a core before and after the run. Where it is"
        " above the number of cores, seconds on the clock say little; counts do not depend on it,"
        " and CPU seconds little. *Quick* runs answer on little data."
    )
    yield ""


def _figures(kept: Records) -> Iterator[str]:
    yield "## Figures"
    yield ""
    yield "| benchmark | question | figure | | size |"
    yield "|---|---|---|---|---|"
    for one in BENCHMARKS:
        for size in Size:
            record = kept.get((one.name, size))
            if record is None or record["result"] is None:
                continue
            for wanted in one.figures:
                value = figure(record, wanted)
                link = f"[{one.name}](#{one.name}-{size.value})"
                yield f"| {link} | {one.question} | {wanted.what} | {value} | {size.value} |"
    yield ""


def _replications(kept: Records) -> Iterator[str]:
    yield "## What others published, and here"
    yield ""
    yield "| study | what | published | here | why it differs, or is not had |"
    yield "|---|---|---|---|---|"
    for row in REPLICATIONS:
        yield f"| {row.study} | {row.what} | {row.published} | {_here(row, kept)} | {row.why} |"
    yield ""


def _here(row: Replication, kept: Records) -> str:
    if row.measured is None:
        return "not had"
    name, size, wanted = row.measured
    record = kept.get((name, size))
    if record is None:
        return f"not run: `make bench NAME={name} SIZE={size.value}`"
    link = f"[{name}](#{name}-{size.value})"
    if not wanted or record["result"] is None:
        return f"the table of {link}"
    words = [f"{one.what} {figure(record, one)}".strip() for one in wanted]
    return f"{'; '.join(words)} ({link})"


def _runs(kept: Records) -> Iterator[str]:
    yield "## Runs"
    yield ""
    for one in BENCHMARKS:
        for size in Size:
            if (one.name, size) in kept:
                yield from _run(one, size, kept[one.name, size])


def _run(one: Benchmark, size: Size, record: Record) -> Iterator[str]:
    machine, load = record["machine"], record["load"]
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    yield f"### {one.name} {size.value}"
    yield ""
    yield one.question + (f" Beside it: {', '.join(one.peers)}." if one.peers else "")
    yield ""
    yield f"- `{record['command']}`"
    yield (
        f"- revision {record['revision']}, {record['date']}, seed {record['seed']}, exit status"
        f" {record['exit_status']}"
    )
    yield (
        f"- {machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB,"
        f" {machine['system']}; load {load[0]} before, {load[1]} after"
    )
    yield f"- {record['cpu_seconds']} CPU seconds, {record['seconds']} on the clock; {versions}"
    yield ""
    lines = record["printed"]
    left = len(lines) - PRINTED
    yield "```"
    yield from lines[-PRINTED:] if left <= 0 else [f"… {left} more lines", *lines[-PRINTED:]]
    yield "```"
    yield ""


def _missing(kept: Records) -> Iterator[str]:
    without = [one for one in BENCHMARKS if not any((one.name, size) in kept for size in Size)]
    if not without:
        return
    yield "## Not run for this page"
    yield ""
    yield "| benchmark | question | command | CPU seconds, about |"
    yield "|---|---|---|---|"
    for one in without:
        command = f"`make bench NAME={one.name}`"
        yield f"| {one.name} | {one.question} | {command} | {one.cpu_seconds[1]:,} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
