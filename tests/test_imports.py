"""Who may import whom, read from the source with ``ast``.

A module imports from lower levels and from its own group, never upwards or sideways; a
solver or file-format library is imported by exactly one module (one group for ONNX).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# (level, group) by the longest prefix that matches; modules of a group may import each other.
LEVELS: dict[str, tuple[float, str]] = {
    "precond.errors": (0, "errors"),
    "precond.printable": (-1, "printable"),
    "precond.arguments": (0.5, "arguments"),
    "precond.whole_files": (0.5, "whole files"),
    "precond.network": (1, "network"),
    "precond.formats": (1.5, "formats"),
    "precond.region": (2, "region"),
    "precond.property": (1.1, "property"),
    "precond.carried": (1.2, "carried"),
    "precond.proof.activated": (4.1, "activated"),
    "precond.device": (0.7, "device"),
    "precond.proof": (3, "proof"),
    "precond.proof.certificates.data": (1.2, "certificate"),
    "precond.proof.certificates.tree": (1.22, "certificate tree"),
    "precond.proof.certificates.canonical": (1.24, "certificate form"),
    "precond.checker": (1.3, "checker"),
    "precond.proof.certificates.packing": (1.28, "certificate files"),
    "precond.proof.certificates.files": (1.3, "certificate files"),
    "precond.proof.certificates.words": (1.4, "words"),
    "precond.proof.certificates.fast": (1.4, "words"),
    "precond.proof.certificates.fast_bounds": (1.4, "words"),
    "precond.proof.certificates": (3.8, "certificates"),
    "precond.proof.bounds": (3.5, "bounds"),
    "precond.proof.linear": (3.6, "linear"),
    "precond.vnnlib": (3.5, "vnnlib"),
    "precond.proof.tail": (3.7, "tail"),
    "precond.proof.reduce": (3.7, "reduce"),
    "precond.proof.contraction": (3.7, "contraction"),
    "precond.proof.execution": (3.9, "execution"),
    "precond.proof.exact_run": (3.6, "exact run"),
    "precond.proof.through_tail": (3.8, "through tail"),
    "precond.proof.engines": (4, "engines"),
    "precond.proof.stages": (4.2, "stages"),
    "precond.proof.standing": (4.2, "standing"),
    "precond.proof.race": (4.2, "race"),
    "precond.proof.attempt": (4.5, "attempt"),
    "precond.proof.prove": (5, "prove"),
    "precond.proof.confirm": (5.1, "confirm"),
    "precond.proof.ledger": (5, "ledger"),
    "precond.proof.ledger_schema": (5, "ledger"),
    "precond.proof.logic": (5, "logic"),
    "precond.proof.pool": (5.2, "pool"),
    "precond.proof.pool_child": (5.2, "pool"),
    "precond.proof.pool_dask": (5.2, "pool"),
    "precond.proof.pool_exact": (5.2, "pool"),
    "precond.proof.pool_local": (5.2, "pool"),
    "precond.proof.pool_remote": (5.2, "pool"),
    "precond.proof.pool_wire": (5.2, "pool"),
    "precond.proof.pool_worker": (5.2, "pool"),
    "precond.mine": (6, "mine"),
    "precond.apply": (7, "apply"),
    "precond.datasets": (7, "data"),
    "precond.datafiles": (7, "data"),
    "precond.columns": (7, "data"),
    "precond.idx": (7, "data"),
    "precond.npy": (7, "data"),
    "precond.parquet": (7, "data"),
    "precond.shards": (7, "data"),
    "precond.analysis": (8, "analysis"),
    "precond.goals": (8, "goals"),
    "precond.options": (8, "options"),
    "precond.counts": (8.05, "counts"),
    "precond.work": (8.06, "work"),
    "precond.input_search": (8.07, "input search"),
    "precond.progress": (8, "progress"),
    "precond.pipeline": (8.1, "pipeline"),
    "precond.whole_space": (8.05, "whole space result"),
    "precond.whole_space_class": (8.1, "whole space"),
    "precond.whole_space_run": (8.1, "whole space"),
    "precond.store": (8.1, "store"),
    "precond.summary": (8.1, "summary"),
    "precond.report": (8.1, "report"),
    "precond.standard": (8.1, "standard"),
    "precond.verify": (8.2, "verify"),
    "precond.verify_process": (8.3, "verify process"),
    "precond.commands": (8.9, "commands"),
    "precond.cli": (9, "cli"),
    "precond.__main__": (9.1, "main"),
    "precond": (9, "package"),
}
# ``prove`` reads and writes the ledger.
ALLOWED = {
    ("precond.proof.prove", "precond.proof.ledger"),
    ("precond.commands.explain", "attribution.explain"),  # the other package's command
    # A wrong input's page shows its attributions beside its rules.
    ("precond.apply.debug_why", "attribution.integrated"),
    ("precond.apply.debug_why", "attribution.profiles"),
    ("precond.apply.debug_why", "attribution.quantities"),
    ("precond.apply.debug_why", "attribution.slices"),
}

# Libraries and the modules that may import them.
LIBRARIES: dict[str, set[str]] = {
    "highspy": {"precond.proof.linear.solver"},
    "maraboupy": {"precond.proof.engines.marabou_worker"},
    "z3": {"precond.proof.engines.z3_worker"},
    "vnnlib": {"precond.vnnlib.v2"},
    "flint": {"precond.network.dyadic"},
    "onnx": {
        "precond.formats.onnx_file",
        "precond.formats.onnx_graph",
        "precond.formats.onnx_reader",
        "precond.formats.onnx_schema",
        "precond.formats.onnx_folding",
        "precond.formats.onnx_operators",
        "precond.formats.onnx_pieces",
        "precond.formats.onnx_arithmetic",
        "precond.formats.onnx_writer",
        "precond.apply.distill_onnx",
        "precond.standard",  # assignments are written as ONNX tensors
    },
    "onnxruntime": set(),
    "captum": {"attribution.peers"},
    "distributed": {"precond.proof.pool_dask"},
    "pyarrow": {"precond.parquet"},
    "mlxtend": {"precond.datasets"},
}


def modules() -> dict[str, Path]:
    found = {}
    for package in ("precond", "attribution"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(name: str) -> tuple[tuple[str, bool], ...]:
    """(imported module, whether at module level) of every import statement; ``from p import m``
    gives p.m where that is a module."""
    return tuple(_imports(name))


def _imports(name: str) -> Iterator[tuple[str, bool]]:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    top = {id(statement) for statement in tree.body}
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, id(statement) in top
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{name} has a relative import"
            assert statement.module is not None
            for alias in statement.names:
                whole = f"{statement.module}.{alias.name}"
                yield (whole if whole in MODULES else statement.module), id(statement) in top


def level(name: str) -> tuple[float, str]:
    prefix = name
    while prefix not in LEVELS:
        prefix = prefix.rpartition(".")[0]
    assert prefix != "precond" or name == "precond", f"give {name} a level in this test"
    return LEVELS[prefix]


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("precond")])
def test_no_import_upwards_or_sideways(name: str) -> None:
    own, group = level(name)
    for target, _ in imports(name):
        if not target.startswith(("precond.", "attribution")):
            continue  # the bare package is loaded anyway; it is imported for its place on disk
        if (name, target) in ALLOWED:
            continue
        assert target.startswith("precond."), f"{name} imports {target}"
        height, other = level(target)
        fine = height < own or other == group or (name, target) in ALLOWED
        assert fine, f"{name} (level {own}) imports {target} (level {height})"


ENGINES = [n for n in MODULES if n.startswith("precond.proof.engines.")]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_imports_no_other_engine(name: str) -> None:
    """Only ``base`` and the parts of its own solver (``marabou_query`` for ``marabou``)."""
    solver = name.rpartition(".")[2].partition("_")[0]
    for target, _ in imports(name):
        if target.startswith("precond.proof.engines."):
            other = target.rpartition(".")[2]
            assert other == "base" or other.partition("_")[0] == solver, f"{name} imports {target}"


def test_only_the_parts_of_prove_name_engines() -> None:
    users = {
        name
        for name in MODULES
        for target, _ in imports(name)
        if target.startswith("precond.proof.engines") and name not in ENGINES
    }
    parts = ("stages", "race", "standing", "attempt", "logic")
    assert users == {f"precond.proof.{name}" for name in parts}


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_module_imports_a_library(library: str) -> None:
    users = {
        name
        for name in MODULES
        for target, _ in imports(name)
        if target == library or target.startswith(f"{library}.")
    }
    assert users <= LIBRARIES[library]


def test_no_cycles_at_module_level() -> None:
    graph = {
        name: {t for t, top in imports(name) if top and t in MODULES and t != name}
        for name in MODULES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_attribution_stands_on_network_and_region() -> None:
    for name in MODULES:
        if name.startswith("attribution"):
            for target, _ in imports(name):
                if target.startswith("precond"):
                    lower = ("errors", "arguments", "printable", "network", "formats", "region")
                    allowed = tuple(f"precond.{part}" for part in lower)
                    assert target.startswith(allowed), f"{name} imports {target}"


def test_importing_the_package_loads_no_solver() -> None:
    heavy = sorted({*LIBRARIES, "sklearn", "jinja2", "rich", "distributed", "torchvision"})
    code = f"import sys, precond; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert shown.stdout.strip() == "[]"
