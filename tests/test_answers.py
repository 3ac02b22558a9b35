"""What follows an answer: hints, progress where output is piped, Ctrl-C, assertions, queries
for other solvers, and refusals with the line to type."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from wide_names import network as wide_network

from precond.apply.certification.answers import Ball, BallOutcome, Robustness
from precond.basics.progress import Lines, progress
from precond.cli import main
from precond.errors import ModelError, QueryError
from precond.formats.load import load
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.report import hints
from precond.testing import assert_proved, assert_robust
from precond.vnnlib.read import read_vnnlib
from precond.vnnlib.write import claim_text, decimal


@pytest.fixture(scope="module")
def network() -> Network:
    """y = ReLU(x): class 1 where x1 > x0, for positive inputs."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    module[0].weight, module[0].bias = nn.Parameter(torch.eye(2)), nn.Parameter(torch.zeros(2))
    return load(module, (2,))


def claim(network: Network, low: float, high: float) -> Claim:
    """Class 1 for x0 in [0, 0.1], x1 in [low, high]."""
    box = Box([0.0, low], [0.1, high])
    return Claim(network, box, DecisionPattern(), Property.argmax(1, 2))


def test_assertions_show_the_witness(network: Network) -> None:
    assert assert_proved(claim(network, 0.2, 0.3)).is_proved
    with pytest.raises(AssertionError, match=r"refuted: x = \(.*\) gives y = \("):
        assert_proved(claim(network, 0.0, 0.3))
    assert_robust(network, [[0.2, 0.7], [0.9, 0.1]], 0.2)
    with pytest.raises(AssertionError, match=r"input 1, class 0, radius 0.2: .*refuted"):
        assert_robust(network, [[0.2, 0.7], [0.5, 0.4]], 0.2)
    with pytest.raises(AssertionError, match="input 0, class 0"):
        assert_robust(network, [[0.2, 0.7]], 0.1, labels=[0])
    dead = DecisionPattern(on=frozenset({(network.decision_layers[0], 0)}))
    nothing = Claim(network, Box([-2.0, 0.0], [-1.0, 1.0]), dead, Property.argmax(0, 2))
    with pytest.raises(AssertionError, match="no input of the box has the pattern"):
        assert_proved(nothing)


@pytest.mark.parametrize(
    "property",
    [
        Property.argmax(1, 2),
        Property.between(0, -0.1, 1 / 3),
        Property.argmax(0, 2) | Property.between(1, 0.0, 2.0),
    ],
)
def test_a_query_is_the_claim_that_was_written(
    network: Network, property: Property, tmp_path: Path
) -> None:
    """0.1 and 1/3 are no decimals of few digits: the same floats come back."""
    asked = Claim(network, Box([0.1, -0.7], [1 / 3, 2e-9]), DecisionPattern(), property)
    path = tmp_path / "q.vnnlib"
    path.write_text(claim_text(asked, "a title\nof two lines"))
    query = read_vnnlib(path, network)
    (again,) = query.claims
    assert again.box.lower.tolist() == asked.box.lower.tolist()
    assert again.box.upper.tolist() == asked.box.upper.tolist()
    assert set(again.problem.conjuncts) == set(asked.problem.conjuncts)
    assert float(decimal(2e-300)) == 2e-300


def test_literals_are_bounds_of_hidden_tensors(tmp_path: Path) -> None:
    pytest.importorskip("vnnlib")
    import onnx

    onnx.save(wide_network(), tmp_path / "m.onnx")
    network = load(tmp_path / "m.onnx")
    (layer,) = network.decision_layers
    pattern = DecisionPattern(
        on=frozenset({(layer, 0)}),
        off=frozenset({(layer, 2)}),
        above=frozenset({(layer, 1, 0.1)}),
        below=frozenset({(layer, 1, 1 / 3)}),
    )
    box = Box([-1.0, -0.7, 0.1], [1.0, 1 / 3, 0.2])
    for property in (Property.argmax(1, 2), Property.between(0, -0.1, 1 / 3)):
        asked = Claim(network, box, pattern, property)
        path = tmp_path / "q.vnnlib"
        path.write_text(claim_text(asked, "ŷ in two\nlines"))
        (again,) = read_vnnlib(path, network).claims
        assert again.pattern == pattern
        assert again.box.upper.tolist() == box.upper.tolist()
        assert set(again.problem.conjuncts) == set(asked.problem.conjuncts)


def test_a_tensor_that_no_file_names_is_refused(network: Network) -> None:
    nameless = replace(network, tensor_names={})
    literal = DecisionPattern(on=frozenset({(network.decision_layers[0], 0)}))
    with pytest.raises(QueryError, match="a tensor of the model's file"):
        claim_text(Claim(nameless, Box.uniform(2, 0, 1), literal, Property.argmax(1, 2)))


@pytest.mark.slow
def test_export_a_claim_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o"
    words = ["analyze", "models/digits-mlp.onnx", "--inputs", "digits", "--domain", "ball:0.02"]
    assert main([*words, "--per-class", "1", "--budget", "600", "--out", str(out)]) == 0
    file, query = out / "preconditions.json", tmp_path / "q.vnnlib"
    export = ["export", "models/digits-mlp.onnx", str(file), "--vnnlib", str(query)]
    assert main(export) == 0
    capsys.readouterr()
    verify = ["verify", str(query), "--network", "models/digits-mlp.onnx"]
    assert main(verify) == 0
    assert capsys.readouterr().out.split()[0] == "unsat"
    entries = json.loads(file.read_text())["preconditions"]
    other = next(e["id"] for e in entries if e["pattern"]["on"] or e["pattern"]["off"])
    assert main([*export, "--only", other]) == 0
    assert "bounds of hidden tensors" in capsys.readouterr().out
    assert "(declare-hidden H0 real [1,32]" in query.read_text()
    assert main(verify) == 0
    statuses = {e["id"]: e["verdict"]["status"] for e in entries}
    answer = {"proved": "unsat", "refuted": "sat", "vacuous": "unsat"}[statuses[other]]
    assert capsys.readouterr().out.split()[0] == answer
    assert main([*export, "--only", "none"]) == 2
    assert "expected an entry with a claim: " in capsys.readouterr().err


def test_prove_says_what_next_where_nothing_is_claimed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    given = ["analyze", "models/digits-mlp.onnx", "--inputs", "digits", "--budget", "5"]
    assert main([*given, "--out", str(out)]) == 0
    file = out / "preconditions.json"
    content = json.loads(file.read_text())
    counted = [entry | {"property": None} for entry in content["preconditions"]]
    assert counted
    for entries, words in ((counted, "tell right predictions from"), ([], "no preconditions")):
        file.write_text(json.dumps(content | {"preconditions": entries}))
        capsys.readouterr()
        assert main(["prove", "models/digits-mlp.onnx", str(file)]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert words in shown and "precond analyze" in shown


def test_hints_say_why_and_what_next() -> None:
    late = Verdict(Status.UNKNOWN, seconds=9.9, done=0.25)
    assert hints.of_verdict(late, 10) == (
        "time ran out: a larger --budget may settle it (25 % of the region is decided)"
    )
    assert "no engine could decide it" in hints.of_verdict(Verdict(Status.UNKNOWN), 10)
    assert hints.of_verdict(Verdict(Status.PROVED), 10) == ""


@pytest.mark.parametrize(
    ("outcome", "seconds", "smaller"),
    [
        (BallOutcome.UNKNOWN, 9.5, False),
        (BallOutcome.UNKNOWN, 1.0, True),
        (BallOutcome.ATTACKED, 9.5, True),
    ],
)
def test_a_smaller_radius_is_no_advice_where_only_time_was_short(
    network: Network, outcome: BallOutcome, seconds: float, smaller: bool
) -> None:
    found = Robustness(
        network=network,
        inputs=np.zeros((1, 2)),
        rows=np.array([0]),
        classes=np.array([0]),
        radii=(Radius(0.1),),
        balls=((Ball(outcome),),),
        seconds=seconds,
    )
    words = " ".join(hints.of_robustness(found, (0.0, 1.0), budget=10))
    assert ("smaller --radius" in words) == smaller
    assert ("time ran out" in words) == (seconds > 9 and outcome is BallOutcome.UNKNOWN)


def test_nothing_certified_says_what_to_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["robustness", "models/digits-mlp.onnx", "--inputs", "digits", "--most", "2"]
    assert main([*words, "--radius", "0.9", "--out", str(tmp_path)]) == 0
    tip = "to try: no input was certified: try a smaller --radius, such as 0.23"
    assert tip in capsys.readouterr().out
    assert tip in (tmp_path / "index.html").read_text()


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines(every=10, clock=lambda: now[0])
    lines.stage("balls", 30)
    for second in range(25):
        now[0] = float(second)
        lines.step()
    assert capsys.readouterr().err.splitlines() == [
        "precond: balls 11 of 30, 10 s",
        "precond: balls 21 of 30, 20 s",
    ]


def test_ctrl_c_says_where_it_was_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), progress() as bars:
        bars.stage("balls", 3)
        bars.step()
        raise KeyboardInterrupt
    assert "precond: stopped at balls 1 of 3" in capsys.readouterr().err

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put("k", Verdict(Status.PROVED, "bounds"), 1.0)
    monkeypatch.setattr("precond.apply.certification.certify.robustness", stop)
    words = ["robustness", "models/digits-mlp.onnx", "--inputs", "digits"]
    assert main([*words, "--out", str(tmp_path)]) == 130
    assert "known so far: 1 proved" in capsys.readouterr().err
    assert main(words) == 130
    assert "stopped: nothing was written" in capsys.readouterr().err


def test_short_words_in_python(network: Network) -> None:
    assert repr(Box.uniform(64, 0, 1)) == "Box([0, 1] × [0, 1] × [0, 1] × … (64 inputs))"
    assert repr(Verdict(Status.PROVED, "bounds", 0.5)) == "Verdict(proved by bounds in 0.5 s)"
    many = DecisionPattern(on=frozenset(("a", i) for i in range(9)))
    assert repr(many).endswith("a[3] on ∧ … (9 literals))")
    assert repr(Property.argmax(1, 2)).startswith("Property(")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("m.h5", r"load_model\('m\.h5'\).*model\.export\('model\.onnx', format='onnx'\)"),
        ("m.pkl", "a pickle, which could run code.*skl2onnx"),
        ("m.ckpt", r"load_from_checkpoint\('m\.ckpt'\)"),
        ("m.tflite", "tf2onnx.convert --tflite m.tflite"),
    ],
)
def test_other_files_are_refused_with_the_line_to_type(
    tmp_path: Path, name: str, line: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=line):
        load(tmp_path / name)


def test_torch_files_are_refused_with_the_line_to_type(tmp_path: Path) -> None:
    module, path = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), tmp_path / "m.pt"
    torch.save(module, path)
    with pytest.raises(ModelError, match=r"torch\.load\('m\.pt', weights_only=False\)"):
        load(path)
    torch.save({"model_state_dict": module.state_dict(), "epoch": 3}, path)
    with pytest.raises(ModelError, match=r"torch\.load\('m\.pt'\)\['model_state_dict'\]"):
        load(path)
    torch.jit.save(torch.jit.trace(module, torch.zeros(1, 2)), str(path))
    with pytest.raises(ModelError, match=r"torch\.jit\.load\('m\.pt'\).*dynamo=False"):
        load(path)
