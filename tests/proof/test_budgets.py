"""Deadlines reach into the work: what is counted is passes and steps, not seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from looks import Looks
from small_networks import below, random_net

from precond.apply.certification.batch import margin_bounds
from precond.apply.debugging import profiles as profiles_module
from precond.errors import DataError
from precond.mine import violators
from precond.mine.violators import Literals
from precond.mine.whole_space.class_pattern import ClassPattern
from precond.mine.whole_space.search import Search
from precond.proof.bounds import layer_passes
from precond.proof.bounds.problem import region_of
from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER, Deadline, OutOfTime
from precond.proof.engines.base import Engine, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.linear import blocks, leaf
from precond.proof.prover.plans import known_bounds
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record, record_in_time
from precond.study.whole_space import one_class
from precond.study.whole_space.one_class import ClassJob

NETWORK = random_net(np.random.default_rng(3), 6, 60, 60, 60, 3)
BOX = Box.uniform(6, -1.0, 1.0)


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[None]:
    """One entry for each call of a module's function."""
    calls: list[None] = []
    plain: Callable[..., object] = getattr(module, name)

    def counting(*arguments: object, **named: object) -> object:
        calls.append(None)
        return plain(*arguments, **named)

    monkeypatch.setattr(module, name, counting)
    return calls


def test_layer_bounds_stop_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_passes, "CACHE_BYTES", 8 * 60 * 10)  # ten rows a pass
    passes = counted(monkeypatch, layer_passes, "half_bounds")
    problem = Claim(NETWORK, BOX, DecisionPattern(), below(0, 1e9)).problem
    BoundsEngine(steps=0).solve(problem, Looks(1000))
    whole = len(passes)
    passes.clear()
    (answer,) = BoundsEngine(steps=0).solve(problem, Looks(5))
    assert len(passes) < 5 < whole
    assert answer.outcome is Outcome.INFEASIBLE, "bounds of intervals are bounds too"


def test_margins_of_balls_stop_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_passes, "CACHE_BYTES", 8 * 60 * 10)
    passes = counted(monkeypatch, layer_passes, "lower_bound")
    points = BOX.sample(20, np.random.default_rng(0))
    classes = np.zeros(20, dtype=np.int64)
    bounds = [
        margin_bounds(NETWORK, points - 0.2, points + 0.2, classes, steps=2, deadline=Looks(looks))
        for looks in (8, 100_000)
    ]
    assert len(passes) > 100
    assert np.isfinite(bounds[0]).all(), "what was begun is finished, with weaker bounds"
    assert (bounds[0] <= bounds[1]).all()
    passes.clear()
    margin_bounds(NETWORK, points - 0.2, points + 0.2, classes, steps=2, deadline=Looks(8))
    assert len(passes) < 8


def test_a_program_s_multipliers_are_not_mended_past_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("highspy")
    problem = Claim(NETWORK, BOX, DecisionPattern(), below(0, 2e5)).problem
    given: list[object] = []

    def closing(*_: object, deadline: object, **__: object) -> None:
        given.append(deadline)

    monkeypatch.setattr(leaf, "closing_leaf", closing)
    looks = Looks(100_000)
    HighsEngine(known_bounds, milp_neurons=0).solve(replace(problem, keep_trace=True), looks)
    assert given and all(deadline is looks for deadline in given)


@pytest.mark.parametrize(
    "engine",
    [HighsEngine(known_bounds), LpSplitEngine(), Z3Engine(), MarabouEngine()],
    ids=lambda engine: engine.name,
)
def test_preparations_end_with_the_deadline(engine: Engine) -> None:
    network = random_net(np.random.default_rng(4), 3, 20, 20, 3)
    claim = Claim(network, Box.uniform(3, -1.0, 1.0), DecisionPattern(), below(0, 1.0))
    if engine.unsupported(claim.problem) is not None:
        engine = replace(engine, free=100)  # type: ignore[type-var]  # z3's own field
    (answer,) = engine.solve(claim.problem, Looks(0))
    assert answer.outcome is Outcome.UNDECIDED
    assert "time" in answer.note


def test_affine_maps_are_made_in_pieces_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CHUNK_VALUES", 10 * 60)  # ten rows a piece
    network = random_net(np.random.default_rng(5), 6, 60, 60, 3)
    with pytest.raises(OutOfTime):
        blocks.linear_blocks(network, Looks(8))  # six pieces for the first block
    assert list(blocks.linear_blocks(network, Looks(9))) == ["z0", "z1", "z2"], "six, one, no more"
    assert blocks.linear_blocks(network, Looks(0)), "known by now"


def test_a_recording_that_is_cut_has_the_first_inputs() -> None:
    points = BOX.sample(20, np.random.default_rng(0))
    whole = record(NETWORK, points, batch=2)
    some = record(NETWORK, points, batch=2, until=Looks(3))
    assert len(some) == 8, "three batches in time, and the one that was begun"
    for layer in whole.layers:
        np.testing.assert_array_equal(some.bits[layer], whole.bits[layer][:8])
    np.testing.assert_array_equal(some.outputs, whole.outputs[:8])
    with pytest.raises(DataError, match="time limit"):
        record(NETWORK, points, store=Path("nowhere"), until=Looks(3))


def test_inputs_recorded_in_time_lie_spread_over_the_data() -> None:
    points = BOX.sample(20, np.random.default_rng(0))
    whole = record(NETWORK, points, values=True)
    every, rows = record_in_time(NETWORK, points, until=FOREVER, values=True)
    assert rows.tolist() == list(range(20))
    some, few = record_in_time(NETWORK, points, until=Looks(4), values=True)
    assert few.tolist() == [0, 1, 2, 8, 9, 10, 16, 17, 18], "each part takes two looks"
    for found, which in ((every, rows), (some, few)):
        np.testing.assert_allclose(found.outputs, whole.outputs[which], rtol=1e-12)
        for layer in whole.layers:
            np.testing.assert_array_equal(found.bits[layer], whole.bits[layer][which])
            z = found.pre_activations[layer]
            np.testing.assert_allclose(z, whole.values(layer)[which], rtol=1e-9, atol=1e-9)


def test_hunts_look_between_groups_of_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Claim(NETWORK, BOX, DecisionPattern(), below(0, -1e9))  # which all inputs violate
    literals = Literals.of(NETWORK, DecisionPattern.of_row(record(NETWORK, np.zeros((1, 6))), 0))
    monkeypatch.setattr(violators, "MOST_VALUES", 4 * len(literals.phases))  # four starts
    groups = counted(monkeypatch, violators, "_hunt")
    starts = BOX.sample(20, np.random.default_rng(1))
    kept = np.repeat(literals.first(0)[None], 20, axis=0)
    every = violators.Violators(claim, literals)
    assert violators.hunt(every, kept, starts, np.zeros(6), Looks(1000)) == 20
    assert len(groups) == 5
    groups.clear()
    violators.hunt(violators.Violators(claim, literals), kept, starts, np.zeros(6), Looks(4))
    assert len(groups) == 2, "each looks once before and once within"


def test_second_proofs_take_no_time_past_the_class_s(monkeypatch: pytest.MonkeyPatch) -> None:
    proved = Verdict(Status.PROVED, "highs", 1.0)
    network = random_net(np.random.default_rng(6), 2, 4, 4, 2)
    patterns = [DecisionPattern(off=frozenset({("relu1", k)})) for k in range(3)]
    found = [
        ClassPattern(
            pattern=p,
            verdict=proved,
            cut="relu0",
            inside=np.ones(1, np.bool_),
            rounds=1,
            proofs=1,
            seconds=1.0,
            witnesses=np.zeros((0, 4)),
        )
        for p in patterns
    ]
    box = Box.uniform(2, 0.0, 1.0)
    signatures = record(network, np.ones((1, 2)), values=True)
    asked = ClassJob(network, box, below(0, 1.0), signatures, ("relu0",), Search(), 10.0)
    budgets: list[float] = []

    def confirm(claim: Claim, verdict: Verdict, *, budget: float, **_: object) -> Verdict:
        budgets.append(budget)
        return verdict

    monkeypatch.setattr(one_class, "confirm", confirm)
    moment = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("precond.proof.deadline.time", moment)
    list(one_class._confirmed(asked, "relu0", found, Deadline(6.0), None))
    assert budgets == [6.0, 6.0, 6.0], "no more than is left, though 8 s would be usual"
    late = list(one_class._confirmed(asked, "relu0", found, Deadline(0.0), None))
    assert len(budgets) == 3
    seconds = [one.verdict.second for one in late]
    assert [s is not None and (s.status, s.reason) for s in seconds] == [
        (Status.UNKNOWN, "time ran out")
    ] * 3


def test_attributions_of_wrong_inputs_stop_between_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    points = BOX.sample(9, np.random.default_rng(2))
    monkeypatch.setattr(profiles_module, "TOGETHER", 64 * 180 * 2)  # two rows a block
    classes = np.zeros(9, dtype=np.int64), np.ones(9, dtype=np.int64)
    whole = profiles_module.comparative_gradients(NETWORK, points, *classes, 0.0)
    some = profiles_module.comparative_gradients(NETWORK, points, *classes, 0.0, deadline=Looks(2))
    assert len(whole) == 9 and len(some) == 6
    np.testing.assert_array_equal(some, whole[:6])


def test_layers_that_optimisation_does_not_come_to_keep_their_plain_bounds() -> None:
    problem = Claim(NETWORK, BOX, DecisionPattern(), below(0, 1.0)).problem
    looks = Looks(100_000)
    plain = region_of(problem, deadline=looks).bounds
    count = 100_000 - looks.looks[0]  # type: ignore[attr-defined]  # as in ``Looks``
    for more in (0, 2, 10, 10_000):
        found = region_of(problem, steps=3, deadline=Looks(count + more)).bounds
        for layer, (low, high) in plain.items():
            assert bool((found[layer][0] >= low).all() and (found[layer][1] <= high).all())
    last = problem.network.decision_layers[-1]
    assert bool((found[last][0] > plain[last][0]).any())
