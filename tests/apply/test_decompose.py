"""Decomposed proofs, on a network whose interpolants can be worked out by hand.

h0 = relu(x0 − x1), h1 = relu(x1 − x0), y = h0 + h1 = |x0 − x1|, over [0, 1]².  Each h goes up
to 1, so their sum up to 2 if the layer's values are taken as a box, but y up to 1 only.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clocks import ticking
from known import affine, at_least

import precond.apply.decomposition.halves as module
import precond.apply.decomposition.query as query_module
from precond.apply.decomposition.answer import Decomposition
from precond.apply.decomposition.bounds import HeadBounds, TailBounds
from precond.apply.decomposition.check import replayed, second_proofs
from precond.apply.decomposition.halves import decompose
from precond.apply.decomposition.lemmas import Lemma, Lemmas, implied, literals
from precond.apply.decomposition.query import check_query, decompose_query, first_layer
from precond.apply.decomposition.settings import DecompositionSettings
from precond.cli import main
from precond.errors import QueryError
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.evaluate import outputs, values_at
from precond.network.graph import Network
from precond.network.layers import Add, Node, ReLU
from precond.network.parts import head, tail
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.vnnlib.read import parse_vnnlib, read_vnnlib

SHARED = Path(__file__).parents[3] / "shared" / "data" / "acasxu"
DISTANCE = Network(
    (
        affine("mix", [[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0], "input"),
        Node("a", ReLU(), ("mix",)),
        affine("sum", [[1.0, 1.0]], [0.0], "a"),
    ),
    (2,),
)
UNIT = Box.uniform(2, 0.0, 1.0)


def at_most(limit: float, box: Box = UNIT) -> Claim:
    """|x0 − x1| ≤ limit over the box."""
    return Claim(DISTANCE, box, DecisionPattern(), at_least(-limit, -1.0))


@pytest.fixture(scope="module")
def proved() -> Decomposition:
    return decompose(at_most(1.25), "a", DecompositionSettings(direct=True))


def test_both_halves_are_proved(proved: Decomposition) -> None:
    assert proved.status is Status.PROVED
    assert proved.head.stands and proved.head.claims == len(proved.steps) > 1
    assert proved.tail.stands and proved.tail.claims == len(proved.lemmas) > 1
    assert proved.uncovered == 0
    assert proved.direct is not None and proved.direct.is_proved
    assert 0 < proved.search_seconds + proved.head.seconds + proved.tail.seconds < proved.seconds


def test_the_parts_cover_the_box_once(proved: Decomposition) -> None:
    assert sum(step.box.width.prod() for step in proved.steps) == pytest.approx(1.0)
    points = UNIT.sample(2_000, np.random.default_rng(0))
    assert (sum(step.box.contains(points).astype(int) for step in proved.steps) == 1).all()


def test_every_part_satisfies_its_pattern_and_every_pattern_the_property(
    proved: Decomposition,
) -> None:
    rng = np.random.default_rng(1)
    for step in proved.steps:
        x = step.box.sample(500, rng)
        z = np.stack([x[:, 0] - x[:, 1], x[:, 1] - x[:, 0]], 1)
        for _, i in step.pattern.off:
            assert (z[:, i] <= 0).all()
        for _, i, t in step.pattern.above:
            assert (z[:, i] >= t).all()
        for _, i, t in step.pattern.below:
            assert (z[:, i] <= t).all()
        values = proved.lemmas[step.lemma].values
        assert values.contains(np.maximum(z, 0)).all()
    for lemma in proved.lemmas:  # the sum is largest at the upper corner
        assert lemma.values.upper.sum() <= 1.25


def test_the_pattern_is_what_makes_the_tail_true(proved: Decomposition) -> None:
    """Without it, over all values that bounds allow, B is false after the cut."""
    rest = tail(DISTANCE, "a")
    everything = Claim(rest, Box.uniform(2, 0.0, 1.0), DecisionPattern(), at_least(-1.25, -1.0))
    assert prove(everything, budget=600).status is Status.REFUTED
    assert all(len(step.pattern) for step in proved.steps)


def test_a_counterexample_is_an_input_of_the_whole_network() -> None:
    answer = decompose(at_most(0.5), "a")
    assert answer.status is Status.REFUTED and answer.witness is not None
    assert UNIT.contains(answer.witness[None])[0]
    assert abs(answer.witness[0] - answer.witness[1]) > 0.5
    assert not answer.steps and not answer.lemmas


def test_without_literals_there_is_nothing_to_show_of_the_head() -> None:
    answer = decompose(at_most(2.5), "a")
    assert answer.status is Status.PROVED and len(answer.steps) == 1
    assert answer.steps[0].claim is None and len(answer.steps[0].pattern) == 0


def test_lemmas_serve_boxes_inside_and_wider_lemmas_serve_narrower_claims() -> None:
    lemmas = Lemmas()
    whole = decompose(at_most(1.25), "a", lemmas=lemmas)
    assert whole.tail.reused == 0 and len(lemmas) > 0
    again = decompose(at_most(1.25), "a", lemmas=lemmas)
    assert again.status is Status.PROVED and again.tail.reused == again.tail.claims > 0
    inside = decompose(at_most(1.25, Box([0.0, 0.0], [0.25, 1.0])), "a", lemmas=lemmas)
    assert inside.status is Status.PROVED and inside.tail.reused > 0
    before = len(lemmas)
    stricter = decompose(at_most(1.125), "a", lemmas=lemmas)
    assert stricter.tail.reused == 0 and len(lemmas) > before  # another B: nothing to reuse


def test_only_what_stands_is_kept_as_a_lemma() -> None:
    claim = Claim(tail(DISTANCE, "a"), UNIT, DecisionPattern(), at_least(-3.0, -1.0))
    lemmas = Lemmas()
    for verdict in (
        None,
        Verdict(Status.UNKNOWN),
        Verdict(Status.REFUTED),
        Verdict(Status.PROVED, confirmed=False),
    ):
        lemmas.add(Lemma(claim, verdict))
    assert len(lemmas) == 0 and lemmas.find(claim) is None
    lemmas.add(Lemma(claim, Verdict(Status.PROVED)))
    assert lemmas.find(claim) is not None
    wider = replace(claim, box=Box.uniform(2, 0.0, 1.5))
    assert lemmas.find(wider) is None
    lemmas.add(Lemma(replace(claim, box=Box.uniform(2, 0.0, 0.5)), Verdict(Status.PROVED)))
    assert len(lemmas) == 1  # it says no more than the first


def test_a_false_pattern_that_is_proposed_is_not_used() -> None:
    answer = decompose(at_most(1.25), "a", proposed=[Box.uniform(2, 0.0, 1.0)])
    assert answer.status is Status.PROVED
    assert all(lemma.values.upper.sum() <= 1.25 for lemma in answer.lemmas)


@pytest.mark.parametrize(
    ("fails", "said"), [("mix", "A ⇒ σ: 1 claims"), ("sum", "σ ⇒ B: 1 claims")]
)
@pytest.mark.parametrize(
    "answer", [Verdict(Status.UNKNOWN), Verdict(Status.PROVED, confirmed=False)]
)
def test_one_claim_that_is_not_proved_spoils_the_whole(
    fails: str, said: str, answer: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def sometimes(claim: Claim, **options: Any) -> Verdict:
        if claim.network.output == fails and asked in ([], [claim.key]):
            asked[:] = [claim.key]
            return answer
        return prove(claim, **options)

    monkeypatch.setattr(module, "prove", sometimes)
    found = decompose(at_most(1.25), "a")
    assert asked and found.status is Status.UNKNOWN
    assert found.reason.startswith(said)


def test_what_time_leaves_open_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """|x0 − x1| ≤ 1 + 1e-12 needs ever smaller parts near the corners (1, 0) and (0, 1)."""
    ticking(monkeypatch)
    answer = decompose(at_most(1.0 + 1e-13), "a", DecompositionSettings(budget=200.0))
    assert answer.status is Status.UNKNOWN
    assert 0 < answer.uncovered < 1 and "of A" in answer.reason


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    sizes, nodes, source = (3, 8, 7, 6, 2), [], "input"
    for k, (m, n) in enumerate(zip(sizes[1:], sizes[:-1], strict=True)):
        weight, bias = rng.normal(size=(m, n)) / np.sqrt(n), rng.normal(size=m) / 4
        nodes.append(affine(f"l{k}", weight.tolist(), bias.tolist(), source))
        source = f"l{k}"
        if k < 3:
            nodes.append(Node(f"r{k}", ReLU(), (source,)))
            source = f"r{k}"
    return Network(tuple(nodes), (3,))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("layer", ["r0", "r1", "r2"])
def test_bounds_hold_on_both_sides_of_a_cut(seed: int, layer: str) -> None:
    network = random_network(seed)
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(5, 3))
    front, rest = head(network, network.pre_activation(layer)), tail(network, layer)
    low, high, moved = HeadBounds(front)(middle - 0.2, middle + 0.2)
    goal = at_least(-0.3, 1.0, -1.0)
    least, _ = TailBounds(rest, goal.negation())(np.maximum(low, 0), np.maximum(high, 0))
    assert moved.shape == (*low.shape, 3) and (moved >= 0).all()
    for k in range(5):
        x = middle[k] + rng.uniform(-0.2, 0.2, (2_000, 3))
        z = outputs(front, x)
        assert (z >= low[k]).all() and (z <= high[k]).all()
        y = outputs(network, x)
        assert (y[:, 0] - y[:, 1] + 0.3 >= least[k]).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("layer", ["r0", "r1", "r2"])
def test_random_networks_agree_with_the_direct_proof(seed: int, layer: str) -> None:
    network = random_network(seed)
    box = Box.ball(np.zeros(3), 0.4)
    y = outputs(network, box.sample(5_000, np.random.default_rng(0)))
    least = float((y[:, 0] - y[:, 1]).min())
    for slack, status in ((0.3, Status.PROVED), (-0.05, Status.REFUTED)):
        claim = Claim(network, box, DecisionPattern(), at_least(least - slack, 1.0, -1.0))
        answer = decompose(claim, layer, DecompositionSettings(budget=600, direct=True))
        assert answer.status is status
        assert answer.direct is not None and answer.direct.status is status
        if status is Status.PROVED:
            assert replayed(answer, points=5_000) == type(replayed(answer, points=1))(5_000, 0, 0)


def test_literals_leave_exactly_the_values() -> None:
    rng = np.random.default_rng(3)
    reach = Box(np.zeros(20), rng.uniform(0, 2, 20))
    low = reach.upper * rng.choice([0.0, 0.25], 20)
    high = reach.upper * rng.choice([0.25, 0.5, 1.0], 20)
    high[:3] = low[:3] = 0.0
    values = Box(low, np.maximum(low, high))
    network = Network(
        (affine("z", np.eye(20).tolist(), [0.0] * 20, "input"), Node("a", ReLU(), ("z",))), (20,)
    )
    pattern = literals("a", values, reach)
    below, above = pattern.intervals(network)["a"]
    assert (np.maximum(np.maximum(reach.lower, below), 0) == values.lower).all()
    assert (np.maximum(np.minimum(reach.upper, above), 0) == values.upper).all()
    points = rng.uniform(-1, 2, (500, 20)) * rng.choice([0.05, 1.0], (500, 1))
    inside = ((points >= below) & (points <= above)).all(1)
    assert (implied(pattern).holds(points) == inside).all()


def test_second_proofs_and_replay(proved: Decomposition) -> None:
    again = second_proofs(proved, budget=600)
    assert [half.proved for half in again] == [len(proved.steps), len(proved.lemmas)]
    assert all(half.contradicted == half.open == 0 for half in again)
    seen = replayed(proved, points=20_000)
    assert (seen.points, seen.outside, seen.violations) == (20_000, 0, 0)


def test_replay_sees_what_is_wrong(proved: Decomposition) -> None:
    """With one pattern only, and with a property that fails on 1/4 of the square."""
    kept = replace(proved, steps=proved.steps[:1])
    seen = replayed(kept, points=20_000)
    z = values_at(DISTANCE, UNIT.sample(20_000, np.random.default_rng(1)), "mix")
    low, high = kept.patterns[0].intervals(DISTANCE)["a"]
    assert seen.outside == int((~((z >= low) & (z <= high)).all(1)).sum()) > 0
    false = replace(proved, claim=at_most(0.5))
    assert replayed(false, points=20_000).violations == pytest.approx(5_000, rel=0.1)


def test_a_claim_that_cannot_be_cut_is_refused() -> None:
    pattern = DecisionPattern(frozenset({("a", 0)}))
    with pytest.raises(QueryError, match="expected a box of inputs"):
        decompose(replace(at_most(1.0), pattern=pattern), "a")
    mixed = replace(at_most(1.0), property=at_least(0.0, 1.0, inputs=(1.0, 0.0)))
    with pytest.raises(QueryError, match="the tail does not see the inputs"):
        decompose(mixed, "a")
    round_ = Network(
        (
            affine("mix", [[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0], "input"),
            Node("a", ReLU(), ("mix",)),
            Node("skip", Add((1.0, 1.0)), ("a", "mix")),
        ),
        (2,),
    )
    claim = Claim(round_, UNIT, DecisionPattern(), at_least(-3.0, 1.0, 1.0))
    with pytest.raises(QueryError, match="it cannot be cut anywhere"):
        decompose(claim, "a")


QUERY = """
(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)
(assert (>= X_0 0.0)) (assert (<= X_0 1.0)) (assert (>= X_1 0.0)) (assert (<= X_1 1.0))
(assert (>= Y_0 {limit}))
"""
MIXED = QUERY.replace("(>= Y_0 {limit})", "(>= Y_0 X_0)")
TWO = """
(vnnlib-version <2.0>)
(declare-network f (declare-input A real [2]) (declare-output B real [1]))
(declare-network g (isomorphic-to f) (declare-input C real [2]) (declare-output D real [1]))
(assert (and (<= A[0] 1.0) (>= A[0] 0.0) (<= A[1] 1.0) (>= A[1] 0.0)))
(assert (and (<= C[0] 1.0) (>= C[0] 0.0) (<= C[1] 1.0) (>= C[1] 0.0)))
(assert (> D[0] B[0]))
"""


def test_queries_about_several_networks_or_mixed_are_refused() -> None:
    with pytest.raises(QueryError, match="as the tail does not see the inputs"):
        check_query(parse_vnnlib(MIXED, DISTANCE))
    with pytest.raises(QueryError, match="expected one about a single network, got one about f, g"):
        check_query(parse_vnnlib(TWO, {"f": DISTANCE, "g": DISTANCE}))


def test_a_query_of_two_regions_is_decomposed_region_by_region() -> None:
    text = """
    (declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)
    (assert (or (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1))
                (and (>= X_0 2) (<= X_0 3) (>= X_1 {low}) (<= X_1 3))))
    (assert (>= Y_0 1.25))
    """
    good = decompose_query(parse_vnnlib(text.format(low=2), DISTANCE), "a")
    assert good.status is Status.PROVED and len(good.parts) == 2
    assert good.parts[1].tail.reused > 0  # the second square has the first one's differences
    bad = decompose_query(parse_vnnlib(text.format(low=1), DISTANCE), "a")
    assert bad.status is Status.REFUTED and bad.witness is not None
    assert bad.witness[0] - bad.witness[1] >= 1.25


def test_the_first_layer_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are tried from the last one back, each round for longer; the answer is kept."""
    keep = affine("keep", [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], "a")
    ends = (keep, Node("b", ReLU(), ("keep",)), affine("sum", [[1.0, 1.0]], [0.0], "b"))
    x = parse_vnnlib(QUERY.format(limit=1.25), Network((*DISTANCE.nodes[:2], *ends), (2,)))
    first, second = "a", "b"
    tried: list[tuple[str, float]] = []
    real = decompose

    def watched(
        claim: Claim, layer: str, settings: DecompositionSettings, **more: Any
    ) -> Decomposition:
        tried.append((layer, settings.budget))
        found = real(claim, layer, replace(settings, budget=600.0), **more)
        if len(tried) < 4:
            return replace(found, status=Status.UNKNOWN, uncovered=0.5)
        return found

    monkeypatch.setattr("precond.apply.decomposition.query.decompose", watched)
    answer = decompose_query(x, settings=DecompositionSettings(budget=100.0, direct=True))
    assert tried == [(second, 1.0), (first, 1.0), (second, 3.0), (first, 3.0)]
    assert (answer.layer, answer.status) == (first, Status.PROVED)
    assert answer.layer_seconds > 0 and answer.parts[0].direct is not None
    tried.clear()
    monkeypatch.setattr(
        "precond.apply.decomposition.query.decompose",
        lambda *given, **more: replace(
            watched(*given, **more),
            status=Status.UNKNOWN,
            uncovered=0.25 if given[1] == first else 0.5,
        ),
    )
    assert first_layer(x, DecompositionSettings(budget=100.0)) == (first, None)
    assert [budget for _, budget in tried] == [1.0, 1.0, 3.0, 3.0, 6.0, 6.0]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = tmp_path / "model.onnx", tmp_path / "deep" / "out.json"
    write_onnx(DISTANCE, model)
    layer = load(model).decision_layers[0]
    holds, fails = tmp_path / "holds.vnnlib", tmp_path / "fails.vnnlib"
    holds.write_text(QUERY.format(limit=1.25))
    fails.write_text(QUERY.format(limit=0.5))
    command = ["decompose", str(model), str(holds), "--layer", layer, "--out", str(out)]
    assert main([*command, "--check"]) == 0
    shown = capsys.readouterr().out
    assert "proved, cut at" in shown and "0 outside σ, 0 without B" in shown
    data = json.loads(out.read_text())
    claim = data["claims"][0]
    assert data["status"] == "proved" and claim["direct"]["status"] == "proved"
    assert claim["A_implies_sigma"]["proved"] == len(claim["parts"]) > 1
    assert set(claim["seconds"]) == {
        "all",
        "search",
        "A_implies_sigma",
        "sigma_implies_B",
        "direct",
    }
    assert main([*command, "--patterns", str(out), "--ledger", str(tmp_path / "l.sqlite")]) == 0
    capsys.readouterr()
    assert main(["decompose", str(model), str(fails), str(holds), "--no-direct"]) == 0
    shown = capsys.readouterr().out
    assert "fails.vnnlib   refuted" in shown and "counterexample" in shown
    assert "holds.vnnlib   proved" in shown and "direct" not in shown


def test_command_errors_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out, query = tmp_path / "model.onnx", tmp_path / "out.json", tmp_path / "q.vnnlib"
    write_onnx(DISTANCE, model)
    query.write_text(QUERY.format(limit=1.25))
    base = ["decompose", str(model), str(query), "--out", str(out)]
    layer = load(model).decision_layers[0]
    other = tmp_path / "other.json"
    other.write_text("{}")
    wrong = [
        (["--layer", "nowhere"], "no such layer"),
        (["--layer", "input"], "a layer that cannot be cut"),
        (["--layer", layer, "--patterns", str(other)], "a file of 'precond decompose --out'"),
        (["--layer", layer, "--patterns", str(tmp_path / "none")], "a readable JSON file"),
    ]
    for options, said in wrong:
        assert main([*base, *options]) == 2
        assert said in capsys.readouterr().err
    query.write_text(MIXED)
    assert main(base) == 2
    said = capsys.readouterr().err
    assert "q.vnnlib: decomposition" in said and "outputs alone" in said
    query.write_text(QUERY.replace("X_1", "X_2").format(limit=1.25))
    assert main(base) == 2
    assert not out.exists()


@pytest.mark.skipif(not SHARED.exists(), reason="the ACAS Xu networks are not here")
def test_acas_xu() -> None:
    network = load(SHARED / "ACASXU_run2a_4_5_batch_2000.onnx")
    query = read_vnnlib(SHARED / "prop_3.vnnlib", network)
    layer, found = first_layer(query, DecompositionSettings(budget=600))
    assert layer in network.decision_layers
    assert found is None or (found.status is Status.PROVED and found.layer == layer)
    lemmas = Lemmas()
    answer = decompose_query(query, "relu_5", lemmas=lemmas)
    assert answer.status is Status.PROVED
    seen = replayed(answer.parts[0], points=20_000)
    assert (seen.outside, seen.violations) == (0, 0)
    box = query.claims[0].box
    part = Box(box.lower, box.lower + 0.4 * box.width)
    inside = decompose(replace(query.claims[0], box=part), "relu_5", lemmas=lemmas)
    assert inside.status is Status.PROVED and inside.tail.reused == inside.tail.claims


def test_choosing_a_layer_ends_with_its_share_of_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = count()
    ticks = SimpleNamespace(monotonic=lambda: 10.0 * next(clock))  # each trial looks at least once
    monkeypatch.setattr("precond.proof.deadline.time", ticks)
    tried: list[str] = []

    def open_trial(claim: object, layer: str, settings: object, **_: object) -> object:
        tried.append(layer)
        Deadline.after(0.0)
        left = 0.5 if layer == "relu2" else 0.75
        return SimpleNamespace(status=Status.UNKNOWN, uncovered=left, seconds=1.0)

    monkeypatch.setattr(query_module, "decompose", open_trial)
    nodes: list[Node] = []
    for k in range(5):
        source = f"relu{k - 1}" if k else "input"
        nodes += [affine(f"z{k}", [[1.0]], [0.0], source), Node(f"relu{k}", ReLU(), (f"z{k}",))]
    network = Network(tuple(nodes[:-1]), (1,))
    asked = SimpleNamespace(network=network, claims=(object(),))
    layer, answer = first_layer(asked, DecompositionSettings(budget=100.0))  # type: ignore[arg-type]  # of it only these
    assert (layer, answer) == ("relu2", None), "what left least so far"
    assert tried == ["relu3", "relu2", "relu1", "relu0"], "one round of four is 70 s"
