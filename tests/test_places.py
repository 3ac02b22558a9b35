"""``precond prove`` with a ledger and with workers: the same lines, in the file's order."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
from broken_files import PLAIN, preconditions_text

from precond.cli import main
from precond.commands.places import size
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.proof.ledger.ledger import Ledger


def files(folder: Path) -> list[str]:
    """A model, and a file of six claims about it: y₀ ≥ k / 2 where neuron 0 is on."""
    write_onnx(PLAIN, folder / "m.onnx")
    data = json.loads(preconditions_text())
    data["network"]["hash"] = load(folder / "m.onnx").hash
    (entry,) = data["preconditions"]
    layer = load(folder / "m.onnx").decision_layers[0]
    data["preconditions"] = []
    for k in range(-2, 4):
        made = json.loads(json.dumps(entry))
        made["id"] = f"claim{k}"
        made["pattern"] = {"on": [[layer, 0]], "off": []}
        made["property"]["all_of"][0]["any_of"][0]["at_least"] = k / 2 - 0.25
        made["verdict"] = {"status": "unknown"}
        data["preconditions"].append(made)
    (folder / "p.json").write_text(json.dumps(data))
    return [str(folder / "m.onnx"), str(folder / "p.json")]


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["prove", *arguments]) == 0
    return [re.sub(r" +[\d.]+ s", "", line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_ledger_and_workers_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = files(tmp_path)
    alone = shown(asked, capsys)
    assert [line.split()[:2] for line in alone] == [
        *([f"claim{k}", "proved"] for k in range(-2, 1)),
        *([f"claim{k}", "refuted"] for k in range(1, 4)),
    ]
    ledger = ["--ledger", str(tmp_path / "l")]
    assert shown([*asked, *ledger, "--workers", "2"], capsys) == alone
    with Ledger(tmp_path / "l") as opened:
        assert len(opened) == 6
    main(["prove", *asked, *ledger])
    first = capsys.readouterr().out
    main(["prove", *asked, *ledger])
    assert capsys.readouterr().out == first  # seconds too: it is all in the ledger


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = files(tmp_path)
    assert main(["prove", *asked, "--memory", "4G"]) == 2
    assert "Use 2 workers" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["prove", *asked, "--workers", "2", "--scheduler", "tcp://localhost:1"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "count"), [("4G", 4 << 30), ("500m", 500 << 20), ("1KiB", 1024), ("77", 77)]
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "4T", "4.5G", "many"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a size such as"):
        size(text)
