"""What needs no torch does not load it: a command that only reads a file answers at once.

Each command runs in a process of its own, which says afterwards what it has loaded; that is a
fact about imports, and no measurement of time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from precond.checker.files import write_certificate
from precond.formats.onnx.reader import read_onnx
from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

ROOT = Path(__file__).parents[1]
DIGITS = str(ROOT / "models" / "digits-mlp.onnx")
HEAVY = ("torch", "sklearn", "highspy", "z3", "jinja2", "PIL")
COMMAND = """
import sys
from precond.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
print("status", status or 0, *sorted(sys.modules), file=sys.stderr)
"""


def run(code: str, *words: str) -> tuple[str, str, set[str]]:
    """What is printed, the exit status, and the names of the modules loaded at the end."""
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    _, status, *loaded = done.stderr.splitlines()[-1].split()
    return done.stdout, status, set(loaded)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "COMMAND"),
        (["--version"], version("precond")),
        (["--name"], "precond"),
        (["analyze", "--help"], "--budget"),
        (["info", DIGITS], "neurons   64 in 2 decision layers"),
        (["supports", "--onnx-operators"], "Relu"),
    ],
    ids=" ".join,
)
def test_commands_that_need_no_torch(words: list[str], said: str) -> None:
    shown, status, loaded = run(COMMAND, *words)
    assert said in shown and status == "0"
    assert not loaded.intersection(HEAVY)


def test_a_ledger_is_listed_exported_and_pruned_without_torch(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with Ledger(file) as ledger:
        ledger.put("claim", Verdict(Status.REFUTED, "attack", witness=np.zeros(2)), 1.0)
    for words, said in (
        (["list"], "1 refuted"),
        (["export"], '"status": "refuted"'),
        (["prune", "--status", "refuted"], "dropped 1, kept 0"),
    ):
        shown, status, loaded = run(COMMAND, "ledger", str(file), *words)
        assert said in shown and status == "0"
        assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize("fast", [[], ["--fast"]], ids=["exact", "fast"])
def test_a_certificate_is_checked_without_torch(fast: list[str], tmp_path: Path) -> None:
    network, file = read_onnx(DIGITS), tmp_path / "certificate"
    dark = Box(np.zeros(64), np.full(64, 1e-6))
    claim = Claim(network, dark, DecisionPattern(), Property.between(0, -1e3, 1e3))
    made = prove(claim, budget=60.0, exact=True).certificate
    assert made is not None
    write_certificate(made, file)
    shown, status, loaded = run(COMMAND, "check", str(file), DIGITS, *fast)
    assert shown.splitlines()[-1] == "valid" and status == "0"
    assert not loaded.intersection(HEAVY)


def test_importing_the_packages_loads_no_library() -> None:
    code = "import sys, precond, attribution; print('-', 0, *sorted(sys.modules), file=sys.stderr)"
    assert not run(code)[2].intersection((*HEAVY, "numpy", "onnx", "scipy"))


def test_the_test_sees_torch_where_it_is_loaded() -> None:
    assert "torch" in run("import torch\n" + COMMAND, "--name")[2]


@pytest.mark.parametrize(("given", "threads"), [(None, 1), ("2", 2)])
def test_a_proof_takes_one_thread_unless_told_otherwise(given: str | None, threads: int) -> None:
    script = (
        "import os, sys\nfrom precond.cli import main\n"
        "main(sys.argv[1:])\nimport torch\nprint('threads', torch.get_num_threads())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    if given is not None:
        environment["OMP_NUM_THREADS"] = given
    done = subprocess.run(
        [sys.executable, "-c", script, "prove", DIGITS, "no-such-file.json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert f"threads {threads}" in done.stdout, done.stderr


def test_the_command_line_itself_loads_no_numbers() -> None:
    code = "import sys, precond.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not {"numpy", *HEAVY}.intersection(done.stdout.split()), done.stderr
