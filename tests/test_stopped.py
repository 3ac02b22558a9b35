"""Ctrl-C in the middle of each command: what is known is printed and written, how to go on is said,
the exit status is 130.  The signal comes at a step that a test chooses, not at a moment."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from wide_names import GIVEN, QUERY, network, table

from precond.apply.distillation.thresholds import Prices
from precond.cli import main

Patch = pytest.MonkeyPatch
Text = pytest.CaptureFixture[str]


def interrupt_at(patch: Patch, place: str, call: int = 1) -> None:
    """SIGINT to this process as the function at ``place`` is called for the ``call``-th time."""
    module, _, name = place.rpartition(".")
    real: Callable[..., object] = getattr(__import__(module, fromlist=[name]), name)
    calls = [0]

    def stepped(*given: object, **named: object) -> object:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given, **named)

    patch.setattr(place, stepped)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    import onnx

    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    Path("d.csv").write_text(table())
    Path("q.vnnlib").write_text(QUERY)
    return tmp_path


def test_robustness_writes_the_balls_it_knows(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    interrupt_at(monkeypatch, "precond.apply.certification.certify.batch_attack", 2)
    words = ["robustness", *GIVEN, "--radius", "0.01", "0.4", "--rows", "all"]
    assert main([*words, "--out", "r"]) == 130
    shown = capsys.readouterr()
    assert "radius 0.01" in shown.out and "unknown" in shown.out
    assert "stopped early; what was proved is in r/ledger.sqlite. Run the same" in shown.err
    lines = Path("r/robustness.csv").read_text().splitlines()
    assert len(lines) == 401 and any(",certified," in line for line in lines)


def test_properties_say_how_many_are_answered(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    interrupt_at(monkeypatch, "precond.proof.prover.prove.prove", 2)
    words = ["robustness", *GIVEN, "--range", "0:0:1", "--range", "1:0:1", "--out", "r"]
    assert main(words) == 130
    shown = capsys.readouterr()
    assert "0 ≤ y0 ≤ 1" in shown.out and "0 ≤ y1" not in shown.out
    assert "1 of 2 answered" in shown.err
    assert len(Path("r/properties.csv").read_text().splitlines()) == 2


def test_debug_writes_the_inputs_it_examined(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    interrupt_at(monkeypatch, "precond.apply.debugging.examine.own_precondition", 2)
    assert main(["debug", *GIVEN, "--out", "d"]) == 130
    shown = capsys.readouterr()
    assert "wrong          3 of 200" in shown.out and "stopped early: 1 of 3" in shown.out
    assert "what was proved is in d/ledger.sqlite" in shown.err
    assert len(list(Path("d/inputs").iterdir())) == 1


def test_debug_without_rules_or_findings_has_a_page(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    interrupt_at(monkeypatch, "precond.apply.debugging.mine_rules.layer_preconditions")
    assert main(["debug", *GIVEN, "--out", "d"]) == 130
    assert "stopped early: 0 of 3 were examined" in capsys.readouterr().out
    assert "stopped early" in Path("d/index.html").read_text()


def test_adversarial_writes_the_examples_it_has(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    interrupt_at(monkeypatch, "precond.apply.certification.certify.margin_bounds", 2)
    words = ["adversarial", *GIVEN, "--radius", "0.5", "--rules", "0", "--out", "v"]
    assert main([*words, "--retrain", "1"]) == 130
    shown = capsys.readouterr()
    assert "distinct" in shown.out and "before" not in shown.out
    assert "what was proved is in v/ledger.sqlite" in shown.err
    assert Path("v/adversarial.npz").is_file() and Path("v/index.html").is_file()


def test_retraining_can_be_left_out(folder: Path, monkeypatch: Patch, capsys: Text) -> None:
    interrupt_at(monkeypatch, "precond.apply.adversarial_examples.retrain.batch_attack")
    words = ["adversarial", *GIVEN, "--radius", "0.5", "--rules", "0", "--out", "v"]
    assert main([*words, "--retrain", "1"]) == 130
    assert Path("v/adversarial.npz").is_file() and not Path("v/retrained.onnx").exists()


def test_decompose_shows_the_claims_it_answered(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    interrupt_at(monkeypatch, "precond.apply.decomposition.query.proved_whole")
    layer = network().graph.node[1].name
    assert main(["decompose", "m.onnx", "q.vnnlib", "--layer", layer, "--out", "o.json"]) == 130
    shown = capsys.readouterr()
    assert "unknown, cut at" in shown.out and "stopped after 0 claims" in " ".join(
        shown.out.split()
    )
    assert "1 of 1 queries shown; with --ledger FILE" in shown.err
    assert json.loads(Path("o.json").read_text())["status"] == "unknown"


def test_analyze_and_patterns_and_prove(folder: Path, monkeypatch: Patch, capsys: Text) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, "precond.study.input_search.RelaxJob", 2)
        assert main(["analyze", *GIVEN, "--out", "a"]) == 130
    assert json.loads(Path("a/preconditions.json").read_text())["interrupted"] is True
    assert "what was proved is in a/ledger.sqlite" in capsys.readouterr().err
    assert main(["analyze", *GIVEN, "--out", "a", "--per-class", "1"]) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, "precond.workers.pool.prove", 2)
        assert main(["prove", "m.onnx", "a/preconditions.json"]) == 130
    assert "1 of " in capsys.readouterr().err
    with monkeypatch.context() as patch:
        interrupt_at(patch, "precond.study.whole_space.run.ClassJob")
        assert main(["patterns", *GIVEN, "--out", "p"]) == 130
    assert "what was proved is in p/ledger.sqlite" in capsys.readouterr().err
    assert Path("p/report.html").is_file()


def test_distill_keeps_a_path_that_was_not_measured(
    folder: Path, monkeypatch: Patch, capsys: Text
) -> None:
    def cheap(*_: object) -> Prices:
        return Prices((0.1, 0.9), (0.01,))

    monkeypatch.setattr("precond.apply.distillation.learn.measured_prices", cheap)
    interrupt_at(monkeypatch, "precond.apply.distillation.measure.small_network")
    words = ["distill", *GIVEN, "--no-compile", "--max-loss", "20", "--out", "f"]
    assert main(words) == 130
    shown = capsys.readouterr()
    assert shown.out.startswith("Not measured: the work was stopped")
    assert "the fast path was written, not measured" in shown.err
    assert Path("f/fastpath.pt").is_file() and Path("f/index.html").is_file()
    assert json.loads(Path("f/distill.json").read_text())["table"] is None


def test_explain_and_verify(folder: Path, monkeypatch: Patch, capsys: Text) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, "attribution.show.explain.integrated_gradients")
        assert main(["explain", *GIVEN, "--index", "0", "--out", "e.html"]) == 130
    assert "stopped: nothing was written" in capsys.readouterr().err
    assert not Path("e.html").exists()
    interrupt_at(monkeypatch, "subprocess.run")
    assert main(["verify", "q.vnnlib", "--network", "m.onnx"]) == 130
    assert capsys.readouterr().out == "unknown\n"
