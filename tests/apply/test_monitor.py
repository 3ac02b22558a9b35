"""The monitor: packed rules against literal-by-literal evaluation, verdicts worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from known import ABSOLUTE, at_least, box, phases

from precond.apply.monitoring.summary import area, separate, summarise
from precond.apply.monitoring.watch import NO_VOTE, Monitor, Opinion
from precond.apply.packed import FEW, PackedRules, pack, unpack
from precond.cli import main
from precond.errors import DataError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.region.signature import Signatures

INPUTS, RULES = 10_000, 500


def deep(seed: int = 0) -> Network:
    """5-70-40-3 with random weights."""
    rng = np.random.default_rng(seed)
    nodes, source, width = [], INPUT, 5
    for k, size in enumerate((70, 40, 3)):
        nodes.append(
            Node(f"z{k}", Affine(rng.normal(size=(size, width)), rng.normal(size=size)), (source,))
        )
        source, width = f"z{k}", size
        if k < 2:
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (5,), origin="5-70-40-3")


def random_patterns(count: int, values: bool, seed: int = 1) -> list[DecisionPattern]:
    """Patterns of 1 to 12 literals over one or both layers, some with value thresholds, a few
    of them contradictory."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        parts: tuple[list[tuple[str, int]], list[tuple[str, int]]] = ([], [])
        bounds: tuple[list[tuple[str, int, float]], list[tuple[str, int, float]]] = ([], [])
        for _ in range(int(rng.integers(1, 13))):
            layer, size = (("a0", 70), ("a1", 40))[rng.integers(2)]
            index, side = int(rng.integers(size)), int(rng.integers(2))
            if values and rng.random() < 0.3:
                bounds[side].append((layer, index, float(rng.normal())))
            else:
                parts[side].append((layer, index))
        found.append(DecisionPattern(*map(frozenset, parts), *map(frozenset, bounds)))
    return found


def literal_by_literal(patterns: list[DecisionPattern], seen: Signatures) -> np.ndarray:
    """(N, R): every literal of every rule looked up on its own, no bits packed."""
    on = {layer: seen.decisions(layer) for layer in seen.layers}
    result = np.ones((len(seen), len(patterns)), dtype=bool)
    for r, pattern in enumerate(patterns):
        for layer, index in pattern.on:
            result[:, r] &= on[layer][:, index]
        for layer, index in pattern.off:
            result[:, r] &= ~on[layer][:, index]
        for layer, index, value in pattern.above:
            result[:, r] &= seen.values(layer)[:, index] > value
        for layer, index, value in pattern.below:
            result[:, r] &= seen.values(layer)[:, index] <= value
    return result


@pytest.mark.parametrize("values", [False, True])
def test_equal_to_literal_by_literal_on_10000_inputs_and_500_rules(values: bool) -> None:
    network = deep()
    inputs = np.random.default_rng(2).normal(size=(INPUTS, 5))
    seen = record(network, inputs, values=True)
    patterns = random_patterns(RULES, values)
    wanted = literal_by_literal(patterns, seen)
    assert 50_000 < wanted.sum() < wanted.size / 2  # both answers occur
    rules = PackedRules(patterns)
    bits = rules.recorded_bits(seen)
    assert (rules.holds(bits).numpy() == wanted).all()  # words of 64 inputs
    few = [rules.holds(part) for part in torch.split(bits, FEW - 1)]
    assert (torch.cat(few).numpy() == wanted).all()  # matrix products
    assert (rules.holds(bits[:777]).numpy() == wanted[:777]).all()  # words not filled up
    box_ = Box.uniform(5, -9.0, 9.0)
    monitor = Monitor(network, [entry(p, "0") for p in patterns], box_)
    watched = monitor.watch(inputs)
    assert (watched.holds.numpy() == wanted).all()
    assert (watched.in_pattern.numpy() == wanted.any(1)).all()
    assert (watched.predicted.numpy() == seen.predicted).all()


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_packing_is_undone_by_unpacking(count: int) -> None:
    bits = torch.rand(count, 11, generator=torch.Generator().manual_seed(count)) < 0.5
    words = pack(bits)
    assert words.shape == (11, -(-count // 64))
    assert bool((unpack(words, count) == bits).all())


def test_a_threshold_is_compared_in_full_precision() -> None:
    """z = float32(0.1) is larger than 0.1, which rounds to it."""
    rules = PackedRules([DecisionPattern(above=frozenset({("a", 0, 0.1)}))])
    z = torch.tensor([[0.1]], dtype=torch.float32)
    assert z[0, 0].item() > 0.1
    assert bool(rules({"a": z})[0, 0])


def test_violations_are_counted() -> None:
    rules = PackedRules([phases([0, 1], [2])])
    bits = torch.tensor([[True, True, False], [True, False, True], [False, False, True]])
    assert rules.violations(bits).flatten().tolist() == [0, 2, 3]


def entry(pattern: DecisionPattern, label: str, **changes: Any) -> Precondition:
    given = Precondition(
        "layer-0-1",
        Kind.LAYER,
        label,
        None,
        pattern,
        Support(10, 5, 1.0, 0.5),
        Verdict(Status.EMPIRICAL),
    )
    return replace(given, **changes)


# Two scores of one input: y₀ = relu(x), y₁ = relu(−x).  Class 0 for x ≥ 0, class 1 below.
SIGN = Network(
    (
        Node("z", Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), (INPUT,)),
        Node("a", ReLU(), ("z",)),
        Node("u", Affine(np.eye(2), np.zeros(2)), ("a",)),
        Node("b", ReLU(), ("u",)),
        Node("y", Affine(np.eye(2), np.zeros(2)), ("b",)),
    ),
    (1,),
    origin="sign",
)
WIDE = Box.uniform(1, -10.0, 10.0)


def opinions(rules: list[Precondition], *x: float) -> list[Opinion]:
    found = Monitor(SIGN, rules, WIDE).watch(np.array(x)[:, None])
    return [Opinion(int(v)) for v in found.opinion]


def test_verdicts_by_hand() -> None:
    right, wrong, unsure = Opinion.CORRECT, Opinion.WRONG, Opinion.UNCERTAIN
    first = entry(phases([0]), "0")
    assert opinions([first], 2.0, -2.0) == [right, unsure]
    assert opinions([entry(phases([0]), "1")], 2.0, -2.0) == [wrong, unsure]
    later = entry(phases([0], layer="b"), "1")
    assert opinions([first, later], 2.0, -2.0) == [unsure, unsure]  # the layers disagree
    louder = entry(phases(off=[1]), "1", support=Support(11, 0, None, None))
    assert opinions([first, louder], 2.0) == [wrong]  # one layer: the larger support
    assert opinions([entry(phases([0]), "correct")], 2.0, -2.0) == [right, unsure]
    assert opinions([entry(phases([0]), "misclassified")], 2.0) == [wrong]


def test_a_rule_holds_only_in_its_box() -> None:
    near = entry(phases([0]), "0", domain=box((0.0, 1.0)))
    found = Monitor(SIGN, [near, entry(phases([1]), "1")], WIDE).watch(np.array([[0.5], [2], [-1]]))
    assert found.holds.tolist() == [[True, False], [False, False], [False, True]]
    assert found.outside.tolist() == [0, 1, 0]
    assert found.votes.tolist() == [[0], [NO_VOTE], [1]]
    assert found.in_pattern.tolist() == [True, False, True]


def test_strength_is_the_share_of_support_that_holds() -> None:
    rules = [
        entry(phases([0]), "0", support=Support(30, 0, None, None)),
        entry(DecisionPattern(above=frozenset({("a", 0, 1.0)})), "0"),
    ]
    found = Monitor(SIGN, rules, WIDE).watch(np.array([[2.0], [0.5], [-1.0]]))
    assert found.strength.tolist() == [1.0, 0.75, 0.0]


def test_summary_counts_by_hand() -> None:
    """Of x = 2, 1, −1, −2 with labels 0, 1, 1, 0: the rule "class 0" holds for x > 0, a proved
    one for x < −1.5; predictions are 0, 0, 1, 1."""
    low = entry(
        DecisionPattern(above=frozenset({("a", 1, 1.5)})), "0", verdict=Verdict(Status.PROVED)
    )
    monitor = Monitor(SIGN, [entry(phases([0]), "0"), low], WIDE)
    watched = monitor.watch(np.array([[2.0], [1.0], [-1.0], [-2.0]]))
    found = summarise(monitor, watched, np.array([0, 1, 1, 0]))
    assert (found.inputs, found.in_pattern, found.proved) == (4, 3, 1)
    assert found.contradicted == 1  # the proved rule says 0 where the network says 1
    assert found.verdicts == {"wrong": 1, "uncertain": 1, "correct": 2}
    assert found.accuracy == 0.5
    wrong, doubted, correct = found.detections
    assert (wrong.predictions, wrong.hits, wrong.present) == (1, 1, 2)
    assert (wrong.precision, wrong.recall) == (1.0, 0.5)
    assert (doubted.predictions, doubted.hits) == (2, 1)
    assert (correct.precision, correct.recall) == (0.5, 0.5)


def test_area_under_the_curve_by_hand() -> None:
    assert area(np.array([0, 1]), np.array([2, 3])) == 1.0
    assert area(np.array([0, 2]), np.array([1, 3])) == 0.75
    assert area(np.array([1, 1]), np.array([1, 1])) == 0.5


def test_other_inputs_are_told_apart() -> None:
    monitor = Monitor(SIGN, [entry(phases([0]), "0")], WIDE)
    found = separate(
        monitor.watch(np.array([[1.0], [2.0]])), monitor.watch(np.array([[-1.0]])), "below"
    )
    assert (found.in_pattern, found.in_pattern_home) == (0.0, 1.0)
    assert found.by_pattern == found.by_strength == 1.0


def test_what_is_refused() -> None:
    with pytest.raises(QueryError, match="got an empty rule set"):
        Monitor(SIGN, [], WIDE)
    with pytest.raises(QueryError, match="1 entries, none of use"):
        Monitor(SIGN, [entry(DecisionPattern(), "0")], WIDE)
    with pytest.raises(QueryError, match=r"expected a class in 0\.\.1"):
        Monitor(SIGN, [entry(phases([0]), "7")], WIDE)
    with pytest.raises(QueryError, match="no such decision layer"):
        Monitor(SIGN, [entry(phases([0], layer="c"), "0")], WIDE)
    monitor = Monitor(SIGN, [entry(phases([0]), "0")], WIDE)
    with pytest.raises(DataError, match="expected rows of 1 values"):
        monitor.watch(np.zeros((3, 2)))
    with pytest.raises(DataError, match="signatures of layer 'b'"):
        PackedRules([phases([0], layer="b")]).recorded_bits(record(SIGN, np.zeros((1, 1)), ["a"]))


MODEL = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"


def written(folder: Path, network_hash: str, patterns: list[DecisionPattern]) -> Path:
    import json

    content = {
        "format": 1,
        "network": {"path": "m.onnx", "hash": network_hash},
        "domain": {"lower": [0.0] * 64, "upper": [1.0] * 64},
        "preconditions": [
            entry(p, "3", id=f"layer-3-{k}", property=at_least(0.0, 1.0)).to_json()
            for k, p in enumerate(patterns)
        ],
    }
    path = folder / "preconditions.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from precond.data.datasets import load_dataset, split
    from precond.formats.load import load

    network = load(MODEL)
    layer = network.decision_layers[0]
    path = written(tmp_path, network.hash, [phases([0, 1], layer=layer)])
    out = tmp_path / "out"
    command = ["monitor", str(path), str(MODEL), "--inputs", "digits", "--rows", "held-out"]
    assert main([*command, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    data = load_dataset("digits")
    rows = split(data)[1]
    seen = record(network, data.inputs[rows], [layer])
    held = seen.decisions(layer)[:, :2].all(1)
    assert f"in pattern     {held.sum()} (" in said
    table = (out / "monitor.csv").read_text().splitlines()
    assert len(table) == len(rows) + 1
    assert [line.split(",")[4] == "yes" for line in table[1:]] == held.tolist()
    assert table[1].startswith(f"{rows[0]},{data.labels[rows[0]]},{seen.predicted[0]},")


def test_labels_of_other_classes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from precond.formats.load import load

    own = load(MODEL)
    path = written(tmp_path, own.hash, [phases([0], layer=own.decision_layers[0])])
    np.save(tmp_path / "tens.npy", np.full(1797, 10))
    out = tmp_path / "out"
    command = ["monitor", str(path), str(MODEL), "--inputs", "digits", "--out", str(out)]
    assert main([*command, "--labels", str(tmp_path / "tens.npy")]) == 2
    assert "expected a class in 0..9" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("network_hash", "data", "message"),
    [
        (ABSOLUTE.hash, "digits", "expected the network with hash"),
        ("", "digits", "an empty rule set"),
        (None, "wide.npy", "expected rows of 64 values"),
    ],
)
def test_bad_input_writes_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    network_hash: str | None,
    data: str,
    message: str,
) -> None:
    from precond.formats.load import load

    own = load(MODEL)
    patterns = [] if network_hash == "" else [phases([0], layer=own.decision_layers[0])]
    path = written(tmp_path, network_hash or own.hash, patterns)
    np.save(tmp_path / "wide.npy", np.zeros((4, 65), dtype=np.float32))
    inputs = data if data == "digits" else str(tmp_path / data)
    out = tmp_path / "out"
    command = ["monitor", str(path), str(MODEL), "--inputs", inputs, "--out", str(out)]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
