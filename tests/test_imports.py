"""Who may import whom, read from the source with ``ast``.

The folders are rooms in one order, the lowest first.  A module imports from its own folder and
from folders below it, never upwards.  A solver or a file-format library is imported in one place.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The rooms, lowest first: folders, and the loose modules of precond/ as rooms of their own.
ROOMS = (
    "precond.printable",
    "precond.errors",
    "precond.basics",
    "precond.network",
    "precond.checker",  # certificates as data, and their check in exact arithmetic
    "precond.formats.lowering",
    "precond.formats.onnx",
    "precond.formats.torch",
    "precond.formats",
    "precond.data",
    "precond.region",
    "precond.property",
    "precond.logit_property",
    "precond.proof",  # claims, verdicts, replay
    "precond.proof.bounds",
    "precond.proof.linear",
    "precond.proof.ledger",
    "precond.proof.processes",
    "precond.proof.certificates",
    "precond.proof.restate",
    "precond.proof.engines",
    "precond.proof.engines.input_split",
    "precond.proof.engines.refine_split",
    "precond.proof.engines.relu_split",
    "precond.proof.engines.z3",
    "precond.proof.engines.marabou",
    "precond.proof.prover",
    "precond.testing",  # assertions for the test suites of others
    "precond.workers",
    "precond.vnnlib",
    "precond.vnnlib.suite",
    "precond.mine",
    "precond.mine.boxes",
    "precond.mine.layer_rules",
    "precond.mine.near_data",
    "precond.mine.value_rules",
    "precond.mine.input_preconditions",
    "precond.mine.sufficient_features",
    "precond.mine.whole_space",
    "attribution",
    "attribution.lines",
    "attribution.methods",
    "attribution.uses",
    "attribution.concepts",
    "attribution.checks",
    "attribution.diagnosis",
    "attribution.show",
    "precond.apply",
    "precond.apply.certification",
    "precond.apply.adversarial_examples",
    "precond.apply.debugging",
    "precond.apply.clustering",
    "precond.apply.distillation",
    "precond.apply.simplification",
    "precond.apply.monitoring",
    "precond.apply.decomposition",
    "precond.study",
    "precond.study.whole_space",
    "precond.report.plot",
    "precond.report",
    "precond.report.analysis",
    "precond.report.sufficient",
    "precond.report.debug",
    "precond.report.whole_space",
    "precond.report.notebook",
    "precond.commands",
    "precond.cli",
    "precond.__main__",
)
BELOW_CHECKER = ("printable", "errors", "basics", "network", "checker")
HEIGHT = {room: height for height, room in enumerate(ROOMS)}

# Libraries and the modules, or rooms, that may import them.
LIBRARIES: dict[str, set[str]] = {
    "highspy": {"precond.proof.linear.solver"},
    "maraboupy": {"precond.proof.engines.marabou.worker"},
    "z3": {"precond.proof.engines.z3.worker"},
    "vnnlib": {"precond.vnnlib.v2"},
    "flint": {"precond.network.dyadic"},
    "onnx": {
        "precond.formats.onnx",
        "precond.apply.distillation.onnx_exits",
        "precond.apply.distillation.onnx_graph",
        "precond.apply.distillation.runtime",
        "precond.apply.distillation.write_onnx",
        "precond.vnnlib.standard",  # assignments are written as ONNX tensors
    },
    "onnxruntime": {"precond.formats.onnx.session"},
    "captum": {"attribution.methods.peers"},
    "distributed": {"precond.workers.dask"},
    "pyarrow": {"precond.data.parquet"},
    "mlxtend": {"precond.data.builtin"},
}


def modules() -> dict[str, Path]:
    found = {}
    for package in ("precond", "attribution"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
# The doors of folders name what they export and load it when it is asked for.
INSIDE = [name for name, path in MODULES.items() if path.name != "__init__.py"]


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """(imported module, whether at module level) of every import statement; ``from p import m``
    gives p.m where that is a module."""
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


def room(name: str) -> str:
    """The room a module stands in."""
    return name if name in HEIGHT and name in INSIDE else name.rpartition(".")[0]


def test_every_folder_is_a_room() -> None:
    assert {room(name) for name in INSIDE} == set(ROOMS)


@pytest.mark.parametrize("name", INSIDE)
def test_no_import_upwards(name: str) -> None:
    own = room(name)
    for target, _ in imports(name):
        if target not in INSIDE:
            continue  # another library, or a package imported for its place on disk
        assert HEIGHT[room(target)] <= HEIGHT[own], f"{name} imports {target}, from a room above"


ENGINES = [n for n in INSIDE if n.startswith("precond.proof.engines.")]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_imports_no_other_engine(name: str) -> None:
    """Only ``base`` and the parts of its own solver, which stand in a folder of their own."""
    own = room(name)
    for target, _ in imports(name):
        if target in ENGINES:
            shared = target == "precond.proof.engines.base"
            part = room(target) == own != "precond.proof.engines"
            assert shared or part, f"{name} imports {target}"


def test_only_the_prover_names_engines() -> None:
    users = {
        room(name)
        for name in INSIDE
        for target, _ in imports(name)
        if target in ENGINES and name not in ENGINES
    }
    assert users == {"precond.proof.prover"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_module_imports_a_library(library: str) -> None:
    users = {
        name
        for name in MODULES
        for target, _ in imports(name)
        if target == library or target.startswith(f"{library}.")
    }
    places = LIBRARIES[library]
    assert {user for user in users if user not in places and room(user) not in places} == set()


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
                    lower = ("printable", "errors", "basics", "network", "formats", "region")
                    allowed = tuple(f"precond.{part}" for part in lower)
                    assert target.startswith(allowed), f"{name} imports {target}"


def test_the_checker_stands_on_the_network_alone() -> None:
    """Its independence of the prover is what makes a certificate worth something."""
    for name in INSIDE:
        if name.startswith("precond.checker"):
            for target, _ in imports(name):
                if target.startswith("precond"):
                    allowed = tuple(f"precond.{part}" for part in BELOW_CHECKER)
                    assert target.startswith(allowed), f"{name} imports {target}"


def test_no_family_of_modules_stands_in_for_a_folder() -> None:
    """Three modules of one folder with a common prefix want a folder of that name."""
    families = Counter(
        (room(name), name.rpartition(".")[2].partition("_")[0])
        for name in INSIDE
        if "_" in name.rpartition(".")[2].strip("_")
    )
    assert not {family for family, count in families.items() if count >= 3}


LONG = 300  # lines; a door is a list of public names, as long as these are many


def test_a_module_has_one_concept_and_few_screens() -> None:
    texts = {name: path.read_text("utf-8") for name, path in MODULES.items()}
    lines = {name: len(text.splitlines()) for name, text in texts.items() if "= door(" not in text}
    assert {name for name, count in lines.items() if count > LONG} == set()


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for name, path in MODULES.items():
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.ClassDef):
                yield name, statement


# Names that still mean two things.
TWO_MEANINGS: set[str] = set()


def test_a_class_name_means_one_thing() -> None:
    counts = Counter(statement.name for _, statement in classes())
    assert {name for name, count in counts.items() if count > 1} == TWO_MEANINGS


KEYWORD_ROOMS = tuple(
    f"precond.{part}"
    for part in ("checker", "formats", "network", "region", "mine", "apply", "vnnlib")
)
# Written so often, or unpacked from a list, that positions stay.
POSITIONAL = {"Network", "Conv2d", "Operators", "Tree", "Watched", "Course"}


def test_a_wide_dataclass_takes_keywords() -> None:
    """More than five fields: a reader should not have to count positions."""
    wide = set()
    for name, statement in classes():
        fields = [
            field
            for field in statement.body
            if isinstance(field, ast.AnnAssign)
            and not (field.value is not None and "init=False" in ast.unparse(field.value))
        ]
        made = [text for d in statement.decorator_list if "dataclass" in (text := ast.unparse(d))]
        if name.startswith((*KEYWORD_ROOMS, "attribution")) and made and len(fields) > 5:
            wide |= {statement.name} - {statement.name for text in made if "kw_only" in text}
    assert wide == POSITIONAL


def test_few_modules_stand_loose() -> None:
    loose = [path for path in (ROOT / "precond").glob("*.py")]
    assert len(loose) <= 8


def test_importing_the_package_loads_no_solver() -> None:
    heavy = sorted({*LIBRARIES, "sklearn", "jinja2", "rich", "distributed", "torchvision"})
    code = f"import sys, precond; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert shown.stdout.strip() == "[]"
