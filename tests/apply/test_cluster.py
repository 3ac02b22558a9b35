"""Clusters: a partition of the inputs by rules, medoids by brute force, the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from precond import DecisionPattern, Network, record
from precond.apply.clustering.medoids import cluster, medoid_of
from precond.apply.debugging.rule_book import RuleBook
from precond.cli import main
from precond.mine.layer_rules.learn import LayerRule
from precond.network.layers import Affine, Node, ReLU

DIGITS = str(Path(__file__).parents[2] / "models" / "digits-mlp.onnx")

NETWORK = Network(
    (
        Node("z", Affine(np.eye(2), np.zeros(2)), ("input",)),
        Node("a", ReLU(), ("z",)),
        Node("y", Affine(np.eye(2), np.zeros(2)), ("a",)),
    ),
    (2,),
)
POINTS = np.array([[1.0, -1], [2.0, -1], [4.0, 1], [-1.0, 3], [-2.0, 3], [-1.0, -1], [3.0, -2]])


def book() -> RuleBook:
    """Rules "neuron 0 on" (support 3) and "neuron 1 on" (support 2); row 2 satisfies both."""
    first = LayerRule(
        label=0,
        layer="a",
        pattern=DecisionPattern(frozenset({("a", 0)})),
        support=3,
        precision=1.0,
        confidence=0.9,
    )
    second = LayerRule(
        label=1,
        layer="a",
        pattern=DecisionPattern(frozenset({("a", 1)})),
        support=2,
        precision=1.0,
        confidence=0.9,
    )
    return RuleBook(
        network=NETWORK,
        rules=(first, second),
        inputs=POINTS,
        signatures=record(NETWORK, POINTS),
        train=np.arange(6),
    )


def test_inputs_go_to_their_best_supported_rule() -> None:
    labels = np.array([0, 0, 1, 1, 1, 0, 0])
    found = cluster(book(), labels, np.array([2, 4, 6]))
    first, second = found.clusters
    assert first.members.tolist() == [0, 1, 2, 6] and first.satisfying == 4
    assert second.members.tolist() == [3, 4] and second.satisfying == 3
    assert found.rest.tolist() == [5] and found.assigned.tolist() == [0, 0, 0, 1, 1, -1, 0]
    assert (first.label, first.purity, first.held_out_purity) == (0, 0.75, 0.5)
    assert first.odd.tolist() == [2]
    assert first.medoid == 1  # of (1, −1), (2, −1), (3, −2): the middle one
    assert (second.purity, second.held_out_purity) == (1.0, 1.0)
    assert found.purity == 5 / 6
    alone = cluster(book(), labels, np.array([0]), smallest=3)
    assert len(alone.clusters) == 1 and alone.rest.tolist() == [3, 4, 5]


def test_medoid_by_brute_force() -> None:
    inputs = np.random.default_rng(0).normal(size=(60, 5))
    members = np.arange(10, 50)
    totals = [sum(np.linalg.norm(inputs[i] - inputs[j]) for j in members) for i in members]
    assert medoid_of(inputs, members) == members[int(np.argmin(totals))]


def test_command_writes_a_partition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", DIGITS, "--inputs", "digits", "--out", str(tmp_path)]) == 0
    with (tmp_path / "inputs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with (tmp_path / "clusters.csv").open(newline="", encoding="utf-8") as stream:
        clusters = list(csv.DictReader(stream))
    assert len(rows) == 1797
    for one in clusters:
        own = [row for row in rows if row["cluster"] == one["cluster"]]
        assert len(own) == int(one["members"])
        share = sum(row["label"] == one["label"] for row in own) / len(own)
        assert share == pytest.approx(float(one["purity"]), abs=1e-5)
        assert one["medoid"] in {row["row"] for row in own}
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "medoid" in page and "<script" not in page
    purity = float(capsys.readouterr().out.split("purity")[1].split()[0])
    assert purity > 97


def test_bad_input_is_said_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["cluster", DIGITS, "--inputs", "digits", "--out", str(out)]
    assert main([*arguments, "--support", "1700"]) == 2
    assert "expected a layer rule or more, got none" in capsys.readouterr().err
    assert main([*arguments, "--layer", "gemm1"]) == 2
    assert "without on/off neurons" in capsys.readouterr().err
    assert not out.exists()
