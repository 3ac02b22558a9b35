"""Layer rules: hand-made signatures with known rules, and naive checks of what is promised."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from clocks import slow_but

from precond.data.datasets import load_dataset, split
from precond.errors import DataError, QueryError
from precond.mine.labels import NO_LABEL, LabelKind, labels_of
from precond.mine.layer_rules.learn import LayerRule, constant_layers, layer_preconditions
from precond.mine.layer_rules.literals import Features, LiteralTable
from precond.mine.layer_rules.probes import Probes, mixed_inputs
from precond.mine.layer_rules.shortlist import Bar, Candidate, cover, merge, refine, shorten
from precond.mine.support import curve, measure, voted, wilson
from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.region.signature import Signatures

MODEL = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"


def signatures_of(values: dict[str, np.ndarray], outputs: np.ndarray | None = None) -> Signatures:
    """A recording with the given pre-activations (N, width) per layer."""
    count = len(next(iter(values.values())))
    return Signatures(
        layers=tuple(values),
        widths={name: z.shape[1] for name, z in values.items()},
        bits={name: np.packbits(z > 0, axis=1) for name, z in values.items()},
        outputs=np.zeros((count, 2)) if outputs is None else outputs,
        pre_activations=values,
    )


def truth_table(width: int, copies: int) -> np.ndarray:
    """±1 for every combination of ``width`` decisions, each ``copies`` times."""
    rows = np.array(list(product((-1.0, 1.0), repeat=width)))
    return np.repeat(rows, copies, axis=0)


def pattern(on: tuple[int, ...] = (), off: tuple[int, ...] = ()) -> DecisionPattern:
    return DecisionPattern(frozenset(("relu", i) for i in on), frozenset(("relu", i) for i in off))


def found(rules: tuple[LayerRule, ...]) -> dict[tuple[int, DecisionPattern], int]:
    return {(rule.label, rule.pattern): rule.support for rule in rules}


def noisy(seed: int, count: int = 500, width: int = 9) -> tuple[Signatures, np.ndarray]:
    """Three classes that depend on four neurons, and one label in twenty is wrong."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, width))
    labels = np.where((z[:, 0] > 0) & (z[:, 1] <= 0), 0, np.where(z[:, 2] + z[:, 3] > 0, 1, 2))
    wrong = rng.random(count) < 0.05
    labels[wrong] = rng.integers(0, 3, wrong.sum())
    return signatures_of({"relu": z}), labels


def without_one(rule: DecisionPattern) -> list[DecisionPattern]:
    """The pattern without each of its literals."""
    literals = [DecisionPattern(on=frozenset([n])) for n in rule.on]
    literals += [DecisionPattern(off=frozenset([n])) for n in rule.off]
    literals += [DecisionPattern(above=frozenset([t])) for t in rule.above]
    literals += [DecisionPattern(below=frozenset([t])) for t in rule.below]
    return [rule - literal for literal in literals]


def share(inside: np.ndarray, labels: np.ndarray, label: int) -> float:
    return float((labels[inside] == label).mean()) if inside.any() else 1.0


# --- known rules


def test_rules_of_a_conjunction_are_found_exactly() -> None:
    z = truth_table(3, 6)
    labels = ((z[:, 0] > 0) & (z[:, 1] <= 0)).astype(np.int64)
    rules = layer_preconditions(signatures_of({"relu": z}), labels)
    assert found(rules) == {
        (0, pattern(off=(0,))): 24,
        (0, pattern(on=(1,))): 24,
        (1, pattern(on=(0,), off=(1,))): 12,
    }
    assert [rule.support for rule in rules] == [24, 24, 12]
    assert all(rule.precision == 1.0 for rule in rules)
    assert rules[2].confidence == pytest.approx(12 / (12 + 1.959964**2))


def test_minimum_support_is_kept() -> None:
    z = truth_table(3, 4)
    labels = ((z[:, 0] > 0) & (z[:, 1] <= 0)).astype(np.int64)
    rules = layer_preconditions(signatures_of({"relu": z}), labels, minimum_support=9)
    assert {rule.label for rule in rules} == {0}


def test_an_impure_rule_is_found_at_its_precision_and_not_above() -> None:
    z = np.repeat([[1.0], [-1.0]], 20, axis=0)
    labels = np.array([1] * 19 + [0] + [0] * 20)
    data = signatures_of({"relu": z})
    on, off = (1, pattern(on=(0,))), (0, pattern(off=(0,)))
    assert found(layer_preconditions(data, labels, minimum_precision=0.95)) == {on: 20, off: 20}
    assert found(layer_preconditions(data, labels, minimum_precision=0.96)) == {off: 20}


def test_value_thresholds_find_what_decisions_cannot() -> None:
    z = np.repeat([[0.5], [1.5], [2.5], [3.5]], 25, axis=0)
    labels = np.repeat([0, 0, 1, 1], 25)
    data = signatures_of({"relu": z, "other": truth_table(2, 25)[:, :1]})
    rules = layer_preconditions(data, labels, ["relu"], values=True)
    assert [(rule.label, rule.support, rule.precision) for rule in rules] == [
        (0, 50, 1.0),
        (1, 50, 1.0),
    ]
    (_, _, high), *rest = rules[0].pattern.below
    (_, _, low), *more = rules[1].pattern.above
    assert not rest and not more and len(rules[0].pattern) == len(rules[1].pattern) == 1
    assert 1.5 <= high < 2.5 and 1.5 <= low < 2.5


def test_a_threshold_at_zero_is_a_decision() -> None:
    z = np.repeat([[-2.0, 1.0], [-1.0, 1.0], [1.0, 1.0], [2.0, 1.0]], 10, axis=0)
    labels = np.repeat([0, 0, 1, 1], 10)
    features = Features(
        "relu", np.array([0, 0, 1]), np.array([-1.5, 0.0, 0.0]), np.array([0, 2, 3]), True
    )
    data = signatures_of({"relu": z})
    assert features.codes(data, np.array([0, 10, 20])).tolist() == [[0, 1], [1, 1], [2, 1]]
    assert features.pattern(frozenset({2, 1})) == DecisionPattern(
        on=frozenset([("relu", 0)]), below=frozenset([("relu", 0, -1.5)])
    )
    table = LiteralTable.build(features, data, labels, (0, 1))
    assert table.counts(table.matches([2])).tolist() == [0, 20]
    assert table.counts(table.matches([1])).tolist() == [10, 0]


def test_classes_limit_the_rules_and_no_label_gets_none() -> None:
    z = truth_table(2, 10)
    labels = np.where(z[:, 0] > 0, np.where(z[:, 1] > 0, 1, 2), NO_LABEL)
    data = signatures_of({"relu": z})
    assert found(layer_preconditions(data, labels)) == {
        (1, pattern(on=(0, 1))): 10,
        (2, pattern(on=(0,), off=(1,))): 10,
    }
    assert {r.label for r in layer_preconditions(data, labels, classes=[2])} == {2}


# --- promises, checked naively


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("precision", "values"), [(1.0, False), (0.9, False), (0.95, True)])
def test_rules_reach_the_bar_and_no_literal_can_be_dropped(
    seed: int, precision: float, values: bool
) -> None:
    data, labels = noisy(seed)
    rules = layer_preconditions(
        data, labels, minimum_precision=precision, minimum_support=5, values=values
    )
    assert len(rules) >= 3
    for rule in rules:
        inside = rule.pattern.holds(data)
        assert rule.support == inside.sum() >= 5
        assert rule.precision == pytest.approx(share(inside, labels, rule.label))
        assert rule.precision >= precision
        for shorter in without_one(rule.pattern):
            assert share(shorter.holds(data), labels, rule.label) < precision
    assert [r.support for r in rules] == sorted((r.support for r in rules), reverse=True)
    for a, b in product(rules, rules):
        assert a is b or a.label != b.label or not a.pattern.implies(b.pattern)


def test_probes_keep_rules_pure_and_literals_in_place() -> None:
    data, labels = noisy(3, count=150)
    extra, seen = noisy(4, count=3000)
    probes = Probes(extra, seen, 0.9)
    rules = layer_preconditions(data, labels, minimum_support=5, probes=probes)
    without = layer_preconditions(data, labels, minimum_support=5)
    assert rules
    assert min(share(r.pattern.holds(extra), seen, r.label) for r in without) < 0.9
    for rule in rules:
        assert rule.precision == 1.0
        assert share(rule.pattern.holds(extra), seen, rule.label) >= 0.9
        for shorter in without_one(rule.pattern):
            assert (
                share(shorter.holds(data), labels, rule.label) < 1
                or share(shorter.holds(extra), seen, rule.label) < 0.9
            )


def test_same_seed_same_rules() -> None:
    data, labels = noisy(5)
    first = layer_preconditions(data, labels, minimum_precision=0.9, seed=7)
    assert first == layer_preconditions(data, labels, minimum_precision=0.9, seed=7)


def test_sampled_trees_still_judge_on_all_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precond.mine.layer_rules.learn.TREE_ROWS", 150)
    data, labels = noisy(6)
    rules = layer_preconditions(data, labels, minimum_precision=0.9)
    assert rules
    for rule in rules:
        assert share(rule.pattern.holds(data), labels, rule.label) >= 0.9


# --- the steps


def test_literal_table_agrees_with_the_pattern() -> None:
    data, labels = noisy(8, count=700)
    features = Features.quantiles(data, "relu")
    table = LiteralTable.build(features, data, labels, (0, 1, 2))
    rng = np.random.default_rng(0)
    for size in (1, 2, 4):
        for _ in range(20):
            literals = [int(i) for i in rng.choice(2 * len(features.neuron), size, replace=False)]
            inside = features.pattern(frozenset(literals)).holds(data)
            expected = np.bincount(labels[inside], minlength=3)
            assert table.counts(table.matches(literals)).tolist() == expected.tolist()
            own = table.matches(literals, table.group(1))
            assert np.bitwise_count(own).sum() == expected[1]


def table_of(z: np.ndarray, labels: np.ndarray) -> LiteralTable:
    data = signatures_of({"relu": z})
    return LiteralTable.build(Features.decisions(data, "relu"), data, labels, (0, 1))


def test_shorten_drops_what_is_not_needed() -> None:
    z = truth_table(3, 1)
    table = table_of(z, (z[:, 0] > 0).astype(np.int64))
    short = shorten(Candidate(1, frozenset({0, 2, 5}), 1, 1), Bar(table, 1.0, 1))
    assert short == Candidate(1, frozenset({0}), 4, 4)


def test_merge_drops_the_rule_that_implies_another_of_its_label() -> None:
    z = truth_table(3, 1)
    table = table_of(z, (z[:, 0] > 0).astype(np.int64))
    wide, narrow = Candidate(1, frozenset({0}), 4, 4), Candidate(1, frozenset({0, 3}), 2, 2)
    other = Candidate(0, frozenset({0, 3}), 2, 2)
    assert merge([narrow, wide, other, wide], table) == [wide, other]


def test_merge_knows_that_a_higher_threshold_implies_a_lower_one() -> None:
    features = Features("relu", np.array([0, 0]), np.array([1.0, 2.0]), np.array([0, 2]), True)
    z = np.array([[0.0], [1.5], [3.0]])
    data = signatures_of({"relu": z})
    table = LiteralTable.build(features, data, np.array([0, 1, 1]), (0, 1))
    low, high = Candidate(1, frozenset({0}), 2, 2), Candidate(1, frozenset({2}), 1, 1)
    assert merge([high, low], table) == [low]
    under1, under2 = Candidate(0, frozenset({1}), 1, 1), Candidate(0, frozenset({3}), 2, 2)
    assert merge([under1, under2], table) == [under2]


def test_cover_takes_the_rules_that_add_inputs() -> None:
    z = truth_table(3, 1)
    table = table_of(z, np.ones(8, dtype=np.int64))
    on0, on1 = Candidate(1, frozenset({0}), 4, 4), Candidate(1, frozenset({2}), 4, 4)
    inside = Candidate(1, frozenset({0, 2}), 2, 2)
    assert cover([inside, on0, on1], table) == [on0, on1]


def test_shortening_and_covering_lose_no_covered_input() -> None:
    data, labels = noisy(9)
    features = Features.decisions(data, "relu")
    bar = Bar(LiteralTable.build(features, data, labels, (0, 1, 2)), 0.9, 3)
    rng = np.random.default_rng(1)
    drawn = [frozenset(int(2 * i + rng.integers(2)) for i in rng.permutation(9)[:5])
             for _ in range(400)]  # fmt: skip
    judged = [bar.judge(literals, bar.table.matches(sorted(literals))) for literals in drawn]
    candidates = [c for c in judged if c is not None]
    assert len(candidates) > 30
    chosen = cover(refine(candidates, bar), bar.table)
    for label in range(3):
        before, after = (
            np.any(
                [features.pattern(c.literals).holds(data) for c in rules if c.label == label],
                axis=0,
            )
            for rules in (candidates, chosen)
        )
        assert not (before & ~after & (labels == label)).any()


# --- labels


def test_labels_of_each_kind() -> None:
    outputs = np.array([[2.0, 1.0], [0.0, 1.0], [5.0, 1.0]])
    data = signatures_of({"relu": np.ones((3, 1))}, outputs)
    given = [0, 0, 1]
    assert labels_of(LabelKind.PREDICTED, data).tolist() == [0, 1, 0]
    assert labels_of(LabelKind.CORRECTNESS, data, given).tolist() == [1, 0, 0]
    assert labels_of(LabelKind.CLASS_IF_CORRECT, data, given).tolist() == [0, NO_LABEL, NO_LABEL]
    assert labels_of(LabelKind.GIVEN, data, given).tolist() == given


# --- support


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (0, 0, 0, 1),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-6)


def test_measure_counts_train_and_held_out_apart() -> None:
    z = np.array([[1.0], [1.0], [1.0], [-1.0], [1.0], [1.0], [-1.0], [-1.0]])
    labels = np.array([1, 1, 0, 1, 1, 0, 1, 1])
    train, held_out = np.arange(4), np.arange(4, 8)
    support = measure(pattern(on=(0,)), 1, labels, signatures_of({"relu": z}), train, held_out)
    assert (support.train, support.train_precision) == (3, pytest.approx(2 / 3))
    assert (support.held_out, support.precision) == (2, 0.5)
    assert support.recall == pytest.approx(1 / 3)
    assert support.precision_interval == wilson(1, 2)
    assert support.recall_interval == wilson(1, 3)


def test_measure_without_held_out_inputs_in_the_pattern_has_no_precision() -> None:
    z = np.array([[1.0], [-1.0]])
    support = measure(
        pattern(on=(0,)), 1, np.array([1, 0]), signatures_of({"relu": z}), np.array([0]),
        np.array([1]),
    )  # fmt: skip
    assert (support.held_out, support.precision, support.recall) == (0, None, None)
    assert support.precision_interval is None


def test_larger_training_support_wins_the_vote_and_the_curve_counts_it() -> None:
    z = truth_table(2, 1)  # −−, −+, +−, ++
    data = signatures_of({"relu": z})
    strong = LayerRule(
        label=3, layer="relu", pattern=pattern(on=(0,)), support=30, precision=1.0, confidence=0.9
    )
    weak = LayerRule(
        label=5, layer="relu", pattern=pattern(on=(1,)), support=10, precision=1.0, confidence=0.7
    )
    assert voted([weak, strong], data).tolist() == [NO_LABEL, 5, 3, 3]
    assert voted([], data).tolist() == [NO_LABEL] * 4
    points = curve([strong, weak], np.array([5, 5, 3, 5]), data, np.array([1, 2, 3, 0]))
    assert [(p.threshold, p.rules, p.coverage) for p in points] == [(0.7, 2, 0.75), (0.9, 1, 0.5)]
    assert [p.precision for p in points] == [pytest.approx(2 / 3), 0.5]


# --- probes


def test_mixed_inputs_lie_between_two_inputs() -> None:
    corners = np.eye(3, dtype=np.float32)
    mixes = mixed_inputs(corners, 200, seed=1)
    assert mixes.shape == (200, 3) and mixes.dtype == np.float32
    assert np.allclose(mixes.sum(axis=1), 1) and (mixes >= 0).all()
    assert (mixes.max(axis=1) >= 0.5).all() and ((mixes > 0).sum(axis=1) <= 2).all()
    assert np.array_equal(mixes, mixed_inputs(corners, 200, seed=1))


# --- real digits


def digits_network() -> Network:
    onnx = pytest.importorskip("onnx")
    arrays = [onnx.numpy_helper.to_array(i) for i in onnx.load(MODEL).graph.initializer]
    weights, biases = ([a for a in arrays if a.ndim == n] for n in (2, 1))
    nodes = []
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        nodes.append(Node(f"fc{k}", Affine(weight, bias), (nodes[-1].name if k else "input",)))
        if k + 1 < len(weights):
            nodes.append(Node(f"relu{k}", ReLU(), (f"fc{k}",)))
    return Network(tuple(nodes), (64,))


@pytest.mark.skipif(not MODEL.exists(), reason="models/digits-mlp.onnx is not there")
@pytest.mark.parametrize("values", slow_but((False,), (False, True)))
def test_digits_rules_cover_most_held_out_digits(values: bool) -> None:
    network, data = digits_network(), load_dataset("digits")
    train, held_out = split(data)
    inputs = data.flat
    recorded = record(network, inputs, values=values)
    probed = record(network, mixed_inputs(inputs[train], 8000), values=values)
    labels = labels_of(LabelKind.PREDICTED, recorded)
    rules = layer_preconditions(
        recorded.rows(train),
        labels[train],
        values=values,
        probes=Probes(probed, probed.predicted, 0.95),
        trees=40,
    )
    every = curve(rules, labels, recorded, held_out)[0]
    assert every.rules == len(rules)
    assert every.coverage >= (0.95 if values else 0.6)
    assert every.precision is not None and every.precision >= 0.97


# --- errors


def test_constant_layer_is_named_and_passed_over() -> None:
    z = truth_table(2, 10)
    data = signatures_of({"flat": np.ones_like(z), "relu": z})
    labels = (z[:, 0] > 0).astype(np.int64)
    assert constant_layers(data) == ("flat",)
    assert {rule.layer for rule in layer_preconditions(data, labels)} == {"relu"}
    with pytest.raises(DataError, match=r"decisions of flat.*the same decisions for all inputs"):
        layer_preconditions(data, labels, ["flat"])


def test_wrong_labels_are_refused() -> None:
    data = signatures_of({"relu": truth_table(2, 5)})
    with pytest.raises(DataError, match=r"labels: expected 20, one per input.*\(19,\)"):
        layer_preconditions(data, np.zeros(19, dtype=int))
    with pytest.raises(DataError, match="labels: expected whole numbers, got float64"):
        layer_preconditions(data, np.zeros(20))
    with pytest.raises(DataError, match="two labels or more, to tell apart, got 4 for all inputs"):
        layer_preconditions(data, np.full(20, 4))
    with pytest.raises(DataError, match=r"class 7.*none.*Labels that occur: 0, 1"):
        layer_preconditions(data, np.arange(20) % 2, classes=[7])
    with pytest.raises(DataError, match=r"expected one label per input, got none"):
        labels_of(LabelKind.CORRECTNESS, data)
    with pytest.raises(DataError, match=r"whole numbers ≥ 0, got -3"):
        labels_of(LabelKind.GIVEN, data, np.full(20, -3))


def test_wrong_limits_and_layers_are_refused() -> None:
    data = signatures_of({"relu": truth_table(2, 5)})
    labels = np.arange(20) % 2
    for bad in (0.0, 1.5, float("nan")):
        with pytest.raises(QueryError, match="minimum precision: expected more than 0, at most 1"):
            layer_preconditions(data, labels, minimum_precision=bad)
    with pytest.raises(QueryError, match="minimum support: expected 1 or more inputs, got 0"):
        layer_preconditions(data, labels, minimum_support=0)
    with pytest.raises(QueryError, match="trees: expected 1 or more, got 0"):
        layer_preconditions(data, labels, trees=0)
    with pytest.raises(DataError, match="signatures of layer 'rely': expected one of relu"):
        layer_preconditions(data, labels, ["rely"])
    with pytest.raises(DataError, match="expected one input and one probe or more, got 0 and 5"):
        mixed_inputs(np.empty((0, 3)), 5)
    with pytest.raises(DataError, match="k = 3, n = 2"):
        wilson(3, 2)
