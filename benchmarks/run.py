"""Runs a benchmark of the registry and keeps what came of it as JSON.

    python -m benchmarks.run --quick            every quick command, one after another
    python -m benchmarks.run alarm --size full  one benchmark
    python -m benchmarks.run --list             names and questions

A *record* in ``benchmarks/results/NAME-SIZE.json`` has the command, the revision of the source,
the machine and its load, the versions, the seed, processor seconds, what was printed, and the
benchmark's own JSON.  ``RESULTS.md`` is made from the records and from nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.registry import BENCHMARKS, Benchmark, Size, benchmark
from benchmarks.results_page import PAGE, RESULTS, ROOT, page

PEERS = ROOT / ".venv-peers" / "bin" / "python"
DATA = ROOT.parent / "shared" / "data"
LIBRARIES = ("numpy", "scipy", "torch", "onnx", "highspy", "z3-solver", "maraboupy", "captum")
MOST_LINES = 400  # of what is printed


class Missing(Exception):
    """What a benchmark needs and is not there."""


def words(one: Benchmark, size: Size, *, out: str, peers: str, data: str) -> list[str]:
    """The command after ``python``."""
    text = one.command(size)
    if text is None:
        raise Missing(f"{one.name} has no {size.value} command; --size full")
    return [word.format(out=out, peers=peers, data=data) for word in text.split()]


def require(one: Benchmark, size: Size, data: Path, peers: Path) -> None:
    text = one.command(size) or ""
    if "{peers}" in text and not peers.exists():
        raise Missing(f"{one.name} needs an interpreter with {', '.join(one.peers)}: make peers")
    if "{data}" in text and not data.is_dir():
        raise Missing(f"{one.name} needs public networks: --data FOLDER, laid out as VNN-COMP's")


def revision() -> str:
    """The commit, with ``+`` where files differ from it."""

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    others = [line for line in changed.splitlines() if "benchmarks/results" not in line]
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+" if others else "")


def machine() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.system(),
        "processor": name,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
    }


def package_version(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """Of the source that runs: what an installer noted down may be of an earlier one."""
    found = re.search(r'^version = "(.+)"$', pyproject.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise Missing(f'{pyproject.name} has no line version = "…"')
    return found[1]


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "precond": package_version()}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def without_places(text: str, places: Sequence[str]) -> str:
    """``text`` without folders of this machine."""
    for place in places:
        text = text.replace(f"{place}/", "").replace(place, "")
    return text


def run(one: Benchmark, size: Size, *, data: Path, peers: Path) -> dict[str, Any]:
    """The record of one run."""
    require(one, size, data, peers)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = words(one, size, out=str(out), peers=str(peers), data=str(data))
        load, begun, before = os.getloadavg(), time.monotonic(), _processor()
        lines, status = _printed([sys.executable, *command])
        seconds, cpu = time.monotonic() - begun, _processor() - before
        text = out.read_text(encoding="utf-8") if out.is_file() else "null"
        places = (folder, str(data), str(ROOT))
        shown = words(one, size, out="OUT.json", peers="PEERS", data="DATA")
        return {
            "name": one.name,
            "size": size.value,
            "command": " ".join(["python", *shown]),
            "revision": revision(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": machine(),
            "load": [round(load[0], 1), round(os.getloadavg()[0], 1)],
            "versions": versions(),
            "seed": 0,
            "exit_status": status,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu, 1),
            "printed": without_places("\n".join(lines[-MOST_LINES:]), places).splitlines(),
            "result": json.loads(without_places(text, places)),
        }


def _processor() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _printed(command: Sequence[str]) -> tuple[list[str], int]:
    """What the command prints, shown as it comes, and its exit status."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    environment = {**os.environ, "PYTHONPATH": path}
    lines = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return lines, process.returncode


def keep(record: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{record['name']}-{record['size']}.json"
    text = json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="*", help="benchmarks to run")
    parser.add_argument("--quick", action="store_true", help="all quick commands")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--list", action="store_true", help="names and questions")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of public networks")
    parser.add_argument("--peers", type=Path, default=PEERS, help="interpreter with the peers")
    given = parser.parse_args()
    if given.list or not (given.name or given.quick):
        for one in BENCHMARKS:
            print(f"{one.name:<22} {one.question}")
        return 0
    size = Size.QUICK if given.quick else given.size
    if unknown := [name for name in given.name if benchmark(name) is None]:
        parser.error(f"expected names that --list shows, got {', '.join(unknown)}")
    chosen = [one for one in BENCHMARKS if one.name in given.name] or [
        one for one in BENCHMARKS if one.quick is not None
    ]
    failed = 0
    for one in chosen:
        print(f"== {one.name}: {one.question}", flush=True)
        try:
            record = run(one, size, data=given.data.resolve(), peers=given.peers)
        except Missing as missing:
            print(f"left out: {missing}")
            failed += not given.quick
            continue
        print(f"kept in {keep(record).relative_to(ROOT)}, {record['cpu_seconds']} CPU seconds")
        failed += record["exit_status"] != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
