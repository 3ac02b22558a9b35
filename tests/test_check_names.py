"""``precond check --names``: what a file calls classes and columns, apart from the statement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from precond.checker.files import write_certificate
from precond.cli import main
from precond.formats.onnx.writer import write_onnx
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node
from precond.proof.certificates.certify import certify
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

WEIGHT = np.array([[1.0, 1.0], [-1.0, 0.0]])  # over [1, 2]²: y0 = x0 + x1 > y1 = −x0


def network_of(weight: np.ndarray) -> Network:
    layer = Affine(weight, np.zeros(len(weight)))
    return Network((Node("out", layer, (INPUT,)),), (2,), origin="m.onnx")


@pytest.fixture
def proof(tmp_path: Path) -> list[str]:
    """``check`` of a certificate that class 0 is said over all of [1, 2]²."""
    network = network_of(WEIGHT)
    claim = Claim(network, Box.uniform(2, 1.0, 2.0), DecisionPattern(), Property.argmax(0, 2))
    write_onnx(network, tmp_path / "m.onnx")
    write_certificate(certify(claim, prove(claim)), tmp_path / "proof")
    return ["check", str(tmp_path / "proof"), str(tmp_path / "m.onnx")]


def names(folder: Path, network: Network, **data: object) -> str:
    path = folder / "preconditions.json"
    content = {
        "format": 1,
        "network": {"path": "m.onnx", "hash": network.hash},
        "domain": {"lower": [1.0, 1.0], "upper": [2.0, 2.0]},
        "data": data,
        "preconditions": [],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def test_names_stand_apart_from_the_statement(
    proof: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The statement is printed as it is without --names; then the words of the file, quoted."""
    assert main(proof) == 0
    alone = capsys.readouterr().out.splitlines()
    file = names(
        tmp_path, network_of(WEIGHT), classes=["malignant", "benign"], columns=["size", "y0 > 9"]
    )
    assert main([*proof, "--names", file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(alone) - 1] == alone[:-1] and lines[-1] == alone[-1] == "valid"
    assert lines[len(alone) - 1 : -1] == [
        "names that 'preconditions.json' gives, and that no proof speaks of:",
        "  y0 is class 'malignant'",
        "  y1 is class 'benign'",
        "  x0 is column 'size'",
        "  x1 is column 'y0 > 9'",
    ]


def test_a_name_cannot_look_like_a_verdict(
    proof: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = names(tmp_path, network_of(WEIGHT), classes=["a\nvalid\n\x1b[2J", "b'\u202e"])
    assert main([*proof, "--names", file]) == 0
    shown = capsys.readouterr().out
    assert shown.split("\n").count("valid") == 1 and shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("weight", "data", "message"),
    [
        (-WEIGHT, {"classes": ["a", "b"]}, "expected a file about the network of the certificate"),
        (WEIGHT, {}, "expected names of classes or columns, got none"),
        (WEIGHT, {"classes": [1, 2]}, "names of classes and columns are lists of texts"),
        (WEIGHT, {"columns": 3}, "expected the fields docs/format.md lists"),
        (WEIGHT, {"columns": "ab"}, "names of classes and columns are lists of texts"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    weight: np.ndarray,
    data: dict[str, object],
    message: str,
    proof: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*proof, "--names", names(tmp_path, network_of(weight), **data)]) == 2
    said = capsys.readouterr()
    assert message in said.err and "valid" not in said.out.splitlines()


def test_names_of_another_file_do_not_make_a_proof_valid(
    proof: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names say nothing about validity: a certificate of another network stays refused."""
    write_onnx(network_of(2 * WEIGHT), tmp_path / "m.onnx")
    file = names(tmp_path, network_of(2 * WEIGHT), classes=["a", "b"])
    assert main([*proof, "--names", file]) == 2
    assert "about the network of the certificate" in capsys.readouterr().err
    assert main(proof) == 1


def test_a_single_output_has_two_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = network_of(np.ones((1, 2)))
    said = Property.of_class(1, network)
    claim = Claim(network, Box.uniform(2, 1.0, 2.0), DecisionPattern(), said)
    write_onnx(network, tmp_path / "m.onnx")
    write_certificate(certify(claim, prove(claim)), tmp_path / "proof")
    file = names(tmp_path, network, classes=["no", "yes"])
    assert main(["check", str(tmp_path / "proof"), str(tmp_path / "m.onnx"), "--names", file]) == 0
    shown = capsys.readouterr().out
    assert "  class 1 where y0 > 0, else class 0\n  class 0 is 'no'\n  class 1 is 'yes'\n" in shown
