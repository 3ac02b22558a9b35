"""``precond patterns`` killed at a chosen verdict, and started again: it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import trained

from precond.cli import main
from precond.formats.onnx.writer import write_onnx
from precond.proof.ledger.ledger import SETTLED, Ledger
from precond.proof.verdict import Verdict

# Kills its process right after verdict number sys.argv[1] is in the ledger.
KILLED = """
import os, signal, sys
from precond.cli import main
from precond.proof.ledger.ledger import Ledger
put, written = Ledger.put, []
def counted(self, *arguments):
    standing = put(self, *arguments)
    written.append(standing)
    if len(written) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return standing
Ledger.put = counted
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    network, data = trained(0, 2, 6, 6, 3)
    write_onnx(network, folder / "net.onnx")
    np.save(folder / "x.npy", data.inputs)
    return folder


def command(given: Path, out: Path, cut: str) -> list[str]:
    return [
        *("patterns", str(given / "net.onnx"), "--inputs", str(given / "x.npy"), "--domain"),
        *("unit", "--worst", "0.5", "--budget", "6000", "--each", "600", "--cut", cut),
        *("--per-class", "1", "--out", str(out)),
    ]


def patterns(out: Path) -> list[tuple[Any, Any]]:
    """Each pattern with whether it is proved, and proved twice."""
    written = json.loads((out / "preconditions.json").read_text())["preconditions"]
    verdict = ("status", "exact", "confirmed")
    return [(e["pattern"], {name: e["verdict"][name] for name in verdict}) for e in written]


@pytest.mark.parametrize(
    ("cut", "kills"),
    [
        ("relu1", [3]),
        pytest.param("relu1", [9, 4], marks=pytest.mark.slow),
        pytest.param("input", [2], marks=pytest.mark.slow),
        pytest.param("input", [2, 2], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_killed_run_goes_on(
    cut: str, kills: list[int], given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command(given, tmp_path / "killed", cut)
    for number in kills:
        done = subprocess.run([sys.executable, "-c", KILLED, str(number), *arguments], check=False)
        assert done.returncode == -signal.SIGKILL
    with Ledger(tmp_path / "killed" / "ledger.sqlite") as ledger:
        before = {entry.key: entry.verdict for entry in ledger.entries()}
    assert len(before) >= kills[0]

    again: list[str] = []
    put = Ledger.put

    def noted(self: Ledger, key: str, verdict: Verdict, budget: float) -> Verdict:
        again.append(key)
        return put(self, key, verdict, budget)

    monkeypatch.setattr(Ledger, "put", noted)
    assert main(arguments) == 0
    settled = {key for key, verdict in before.items() if verdict.status in SETTLED}
    assert again and not settled & set(again)
    assert main(command(given, tmp_path / "whole", cut)) == 0
    assert patterns(tmp_path / "killed") == patterns(tmp_path / "whole")


def test_a_finished_run_asks_nothing_again(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither proofs, nor second proofs: the prover is not called."""
    arguments = command(given, tmp_path, "relu1")
    assert main(arguments) == 0
    first = patterns(tmp_path)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("precond.proof.prover.chain.Run", never)
    assert main(arguments) == 0
    assert patterns(tmp_path) == first


@pytest.mark.slow
def test_two_workers_write_one_ledger(given: Path, tmp_path: Path) -> None:
    """And find what one process finds."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(command(given, one, "relu1")) == 0
    assert main([*command(given, two, "relu1"), "--workers", "2"]) == 0
    assert patterns(one) == patterns(two)
    with Ledger(one / "ledger.sqlite") as alone, Ledger(two / "ledger.sqlite") as shared:
        assert {e.key for e in shared.entries()} == {e.key for e in alone.entries()}
