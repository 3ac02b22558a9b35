"""Patterns over a whole domain: what is found is true, proved twice, the same in any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from blobs import chain, trained
from clocks import HANG, slow_but

from precond.apply.pattern_attack import attack_pattern
from precond.data.datasets import Dataset
from precond.errors import QueryError
from precond.mine.whole_space.candidates import LiteralPool, affordable
from precond.mine.whole_space.counterexample_guided import PatternSearch
from precond.mine.whole_space.search import Search
from precond.mine.whole_space.shorten import fewest
from precond.mine.whole_space.task import PatternTask
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.proof.attempt import SOLVERS, Attempt, Line, Outcome
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.precondition import Kind
from precond.proof.prover.confirm import confirm, lines_to_ask, second_proof
from precond.proof.prover.plans import Stage, default_stages, line_stages
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region
from precond.proof.restate.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.study.analysis import Domain
from precond.study.goals import class_goal
from precond.study.study import Study
from precond.study.whole_space.result import WholeSpace, recall_by_literals, recall_by_time
from precond.study.whole_space.run import default_cuts, record_values, run_whole_space
from precond.workers.pool import open_pool

QUICK = Search(worst=0.5, rounds=30, each=20.0, patterns=2)
CASES = [
    ((2, 6, 6, 3), 0, "relu1"),
    ((2, 6, 6, 3), 2, "relu1"),
    ((2, 6, 6, 3), 3, "relu1"),
    ((3, 10, 10, 3), 0, "relu1"),
    ((3, 10, 10, 3), 2, "relu2"),
    ((3, 8, 8, 8, 3), 0, "relu2"),
]


def searched(
    network: Network,
    data: Dataset,
    cut: str | None = None,
    *,
    workers: int = 1,
    budget: float = 600.0,
) -> WholeSpace:
    signatures = record_values(network, data, [INPUT] if cut == INPUT else None)
    domain = Domain.parse("unit", data.inputs, (0.0, 1.0))
    with open_pool(workers) as pool:
        return run_whole_space(
            Study(
                network=network,
                data=data,
                signatures=signatures,
                domain=domain,
                goal=class_goal(network, signatures),
            ),
            replace(QUICK, budget=budget),
            cuts=None if cut is None else [cut],
            pool=pool,
        )


@pytest.fixture(
    scope="module",
    params=slow_but((CASES[0], CASES[4]), CASES),
    ids=lambda c: f"{c[0]}-{c[1]}-{c[2]}",
)
def case(request: pytest.FixtureRequest) -> WholeSpace:
    widths, seed, cut = request.param
    network, data = trained(seed, *widths)
    return searched(network, data, cut)


def claims(run: WholeSpace) -> list[Claim]:
    return [
        Claim(run.study.network, run.study.domain.box, entry.pattern, entry.property)
        for entry in run.entries
        if entry.property is not None
    ]


def test_something_is_found_and_proved_twice(case: WholeSpace) -> None:
    assert case.entries
    for entry in case.entries:
        assert entry.kind is Kind.SPACE
        assert entry.verdict.is_proved and entry.verdict.confirmed
        second = entry.verdict.second
        assert second is not None and second.is_proved and second.engines


def test_what_is_proved_holds_in_rational_arithmetic(case: WholeSpace) -> None:
    """z3 on the whole network, without the tail and without any bounds but its own."""
    for claim in claims(case):
        exact = [Stage(Z3Engine(products=20_000, free=48))]
        verdict = prove(claim, budget=2, stages=exact)
        if verdict.status is Status.UNKNOWN:  # too many free neurons for z3 alone
            verdict = prove(claim, budget=600)
        assert verdict.status is Status.PROVED


def test_no_point_that_satisfies_a_pattern_violates_it(case: WholeSpace) -> None:
    rng = np.random.default_rng(1)
    for claim in claims(case):
        x = claim.box.sample(100_000, rng)
        inside = x[in_region(claim.problem, x)]
        assert claim.property.holds(outputs(claim.network, inside)).all()


def test_no_attack_breaks_a_pattern(case: WholeSpace) -> None:
    flat = case.study.data.inputs
    for claim, entry in zip(claims(case), case.entries, strict=True):
        own = case.study.goal.labels == int(entry.label)
        result = attack_pattern(claim, flat[own], flat[~own], count=10_000, batch=500)
        assert result.inside >= 10_000
        assert result.violating == 0 and result.least > 0


def test_counts_are_those_of_the_data(case: WholeSpace) -> None:
    held, labels = case.study.data.held_out, case.study.goal.labels
    for found in case.classes:
        own = labels[held] == found.target.label
        inside = np.zeros(len(held), dtype=bool)
        for entry in found.entries:
            inside |= entry.pattern.holds(case.study.signatures)[held]
        assert found.held_out.hits == (inside & own).sum()
        assert found.held_out.total == own.sum()
        # A pattern that implies a class holds for no input of another.
        assert not (inside & ~own).any()
        for entry in found.entries:
            assert entry.support.precision in (None, 1.0)
    times = recall_by_time(case)
    assert times == sorted(times) and times[0] == (0.0, 0.0)
    assert times[-1][1] == pytest.approx(case.train.value)
    literals = recall_by_literals(case)
    assert [y for _, y, _ in literals] == sorted(y for _, y, _ in literals)
    assert literals[-1][1] == pytest.approx(case.held_out.value)


def test_forced_literals_exclude_their_counterexample(case: WholeSpace) -> None:
    for found in case.classes:
        for entry, forced in zip(found.entries, found.forced, strict=True):
            rest = Tail(case.study.network, case.study.domain.box, found.cut).rest
            for one in forced:
                layer, index, on = one.literal
                assert one.literal[:2] in (entry.pattern.on if on else entry.pattern.off)
                if layer == found.cut:
                    assert not on and one.values[index] > 0
                assert one.output != found.target.label
                assert one.output == outputs(rest, one.values[None])[0].argmax()
                assert one.nearest in case.study.data.train


def test_a_counterexample_at_the_edge_of_its_pattern_is_not_met_for_ever() -> None:
    """A point may be outside its own pattern by a rounding; another literal must exclude it."""
    network, data = trained(0, 2, 6, 6, 3)
    signatures = record_values(network, data, None)
    task = PatternTask(
        Tail(network, Box.uniform(2, 0.0, 1.0), "relu1"), Property.argmax(0, 3), QUICK
    )
    nothing = np.zeros((0, task.tail.rest.input_size))
    search = PatternSearch(task, signatures, nothing, Deadline.after(600.0))
    point = search.points[np.flatnonzero(signatures.predicted != 0)[:1]]
    search._remember(point)
    first = search._cover(True)
    assert first is not None and (search.depths[:, first] > 0).any()
    search._remember(point, first)  # it was met inside the pattern all the same
    second = search._cover(True)
    assert second is None or (second & ~first).any()


@pytest.mark.slow
def test_held_out_inputs_take_no_part_in_the_search() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    other = np.array(data.inputs)
    other[data.held_out] = np.random.default_rng(9).random((len(data.held_out), 2))
    changed = replace(data, inputs=other)
    first, second = (searched(network, d, "relu1") for d in (data, changed))
    assert [e.pattern for e in first.entries] == [e.pattern for e in second.entries]


@pytest.mark.slow
def test_two_processes_find_what_one_finds() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    one, two = searched(network, data), searched(network, data, workers=2)
    assert one.entries
    assert [(e.id, e.pattern) for e in one.entries] == [(e.id, e.pattern) for e in two.entries]
    assert [f.cut for f in one.classes] == [f.cut for f in two.classes]


def test_ctrl_c_keeps_the_classes_that_are_done() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    signatures = record_values(network, data)

    class Impatient:
        done = 0

        def stage(self, name: str, total: int) -> None:
            assert total == 3

        def step(self, count: int = 1) -> None:
            self.done += count
            if self.done == 2:
                raise KeyboardInterrupt

    run = run_whole_space(
        Study(
            network=network,
            data=data,
            signatures=signatures,
            domain=Domain.parse("unit", data.inputs, (0.0, 1.0)),
            goal=class_goal(network, signatures),
        ),
        QUICK,
        cuts=["relu1"],
        progress=Impatient(),
    )
    assert run.interrupted
    assert [found.target.name for found in run.classes] == ["0", "1"]
    assert any("2: the run ended" in note for note in run.notes)
    assert len(run.entries) == 2


def test_a_budget_that_is_spent_ends_the_search() -> None:
    network, data = trained(0, 3, 8, 8, 8, 3)
    run = searched(network, data, budget=0.3)
    assert run.seconds < HANG


def test_inputs_outside_the_domain_count_for_nothing() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    signatures = record_values(network, data)
    domain = Domain.parse("0:0.5", data.inputs, (0.0, 1.0))
    within = domain.box.contains(data.inputs)
    goal = class_goal(network, signatures)
    study = Study(network=network, data=data, signatures=signatures, domain=domain, goal=goal)
    run = run_whole_space(study, QUICK, cuts=["relu1"])
    assert any(f"{(~within).sum()} of 600 inputs lie outside" in note for note in run.notes)
    for found in run.classes:
        own = (goal.labels == found.target.label) & within
        assert found.train.total == own[data.train].sum()
        assert found.held_out.total == own[data.held_out].sum()


def test_where_networks_are_cut_by_default() -> None:
    network, _ = trained(0, 3, 8, 8, 8, 3)
    assert default_cuts(network) == ("relu2", "relu1", "relu3")
    rng = np.random.default_rng(0)
    linear = chain([(rng.normal(size=(2, 3)), rng.normal(size=2))])
    with pytest.raises(QueryError, match="cut in two"):
        default_cuts(linear)


def test_a_cut_that_is_none_is_refused() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    with pytest.raises(QueryError, match=r"cut of memory at fc1.*one of input, relu1, relu2"):
        searched(network, data, "fc1")


def test_the_whole_network_gives_patterns_without_false_witnesses() -> None:
    network, data = trained(0, 2, 8, 8, 3)
    run = searched(network, data, "input")
    assert run.entries
    points = np.random.default_rng(5).uniform(0, 1, (20_000, 2))
    answers = outputs(network, points).argmax(1)
    held = np.zeros(len(points), dtype=np.bool_)
    for found in run.classes:
        assert found.cut == "input"
        for entry in found.entries:
            assert entry.verdict.is_proved
            inside = entry.pattern.holds(record(network, points))
            assert (answers[inside] == found.target.label).all()
            held |= inside
    assert held.any()


@pytest.mark.slow
def test_each_further_pattern_is_for_inputs_that_are_left() -> None:
    network, data = trained(1, 2, 8, 8, 3)
    run = searched(network, data, "input")
    for found in run.classes:
        rows = data.train[run.study.goal.labels[data.train] == found.target.label]
        covered = np.zeros(len(rows), dtype=np.bool_)
        for entry in found.entries:
            inside = entry.pattern.holds(run.study.signatures.rows(rows))
            assert (inside & ~covered).sum() >= 3
            covered |= inside


def test_literals_that_a_proof_does_not_need_are_left_out() -> None:
    network, data = trained(2, 3, 10, 10, 3)
    run = searched(network, data, "relu2")
    found = next(c for c in run.classes if c.entries)
    entry = found.entries[0]
    rows = data.train[run.study.goal.labels[data.train] == found.target.label]
    part = run.study.signatures.rows(rows)
    tail = Tail(network, run.study.domain.box, "relu2")
    recall = 0.8 * float(entry.pattern.holds(part).mean())
    pool = LiteralPool.of(part, tail.layers, 1.0 - recall)
    kept = np.array([literal in literals_of(entry.pattern) for literal in pool.literals])
    longer = pool.pattern(affordable(pool, recall, kept))
    assert len(longer) > len(entry.pattern)

    less = fewest(tail, entry.property, part, longer, recall, deadline=Deadline.after(600.0))

    assert less is not None and less.verdict.is_proved
    assert len(less.pattern) < len(longer)
    assert (less.inside == less.pattern.holds(part)).all()
    assert less.inside.mean() >= recall - 1e-9
    assert fewest(tail, entry.property, part, longer, 1.0, deadline=Deadline.after(600.0)) is None


def literals_of(pattern: DecisionPattern) -> set[tuple[str, int, bool]]:
    return {(a, i, True) for a, i in pattern.on} | {(a, i, False) for a, i in pattern.off}


def test_balls_are_no_whole_domain() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    signatures = record_values(network, data)
    domain = Domain.parse("ball:0.1", data.inputs, (0.0, 1.0))
    with pytest.raises(QueryError, match="one box"):
        goal = class_goal(network, signatures)
        run_whole_space(
            Study(network=network, data=data, signatures=signatures, domain=domain, goal=goal)
        )


# -- second proofs ---------------------------------------------------------------------


def lines_of() -> dict[str, frozenset[Line]]:
    """What engines say of themselves, by name."""
    claim, _ = simple()
    stages = [*default_stages(claim.problem), *line_stages(Line.SOLVERS)]
    stages += [Stage(TightenSplitEngine(ReluSplitEngine()))]
    return {stage.engine.name: stage.engine.lines for stage in stages}


def proved(engine: str, *others: str) -> Verdict:
    one, lines = {Outcome.INFEASIBLE: 1}, lines_of()
    attempts = tuple(
        Attempt(name, 0.1, counts=one, lines=lines[name]) for name in (engine, *others)
    )
    return Verdict(Status.PROVED, engine, attempts=attempts)


def test_the_other_kind_is_asked() -> None:
    assert lines_to_ask(proved("highs")) == (Line.PROPAGATION,)
    assert lines_to_ask(proved("input-split", "bounds")) == (Line.SOLVERS,)
    assert lines_to_ask(proved("highs", "bounds")) == (Line.PROPAGATION, Line.SOLVERS)
    idle = Attempt("highs", 0.1, counts={Outcome.UNDECIDED: 1}, lines=SOLVERS)
    alone = Verdict(Status.PROVED, "bounds", attempts=(idle, *proved("bounds").attempts))
    assert lines_to_ask(alone) == (Line.SOLVERS,)
    stopped = Attempt("marabou", 0.1, note="stopped, not needed")  # a racer closed nothing
    alone = Verdict(Status.PROVED, "bounds", attempts=(stopped, *proved("bounds").attempts))
    assert lines_to_ask(alone) == (Line.SOLVERS,)
    assert lines_to_ask(proved("tighten-lp")) == (Line.PROPAGATION,)
    assert lines_to_ask(proved("tighten-split")) == (Line.PROPAGATION, Line.SOLVERS)


def test_an_engine_that_hands_on_to_the_first_is_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """After phase splitting, tightening with phase splitting below it is not another opinion."""
    claim, _ = simple()
    asked: list[str] = []

    def spy(claim: Claim, *, stages: Sequence[Stage], **options: object) -> Verdict:
        asked.extend(stage.engine.name for stage in stages)
        return Verdict(Status.UNKNOWN, reason="not asked")

    phases = ReluSplitEngine()
    every = (Stage(phases), Stage(TightenSplitEngine(phases)), Stage(BoundsEngine()))
    monkeypatch.setattr("precond.proof.prover.confirm.prove", spy)
    monkeypatch.setattr("precond.proof.prover.confirm.default_stages", lambda *a: every)
    monkeypatch.setattr("precond.proof.prover.confirm.line_stages", lambda *a: ())
    for first in ("relu-split", "tighten-split"):
        asked.clear()
        second_proof(claim, proved(first), budget=600.0)
        assert asked == ["bounds"]


def simple() -> tuple[Claim, Claim]:
    """y = (relu(x), 1/2): class 0 where x > 1/2.  Over [0.75, 1] true, over [0.25, 1] not."""
    network = chain(
        [(np.array([[1.0]]), np.zeros(1)), (np.array([[1.0], [0.0]]), np.array([0.0, 0.5]))]
    )
    wanted = Property.argmax(0, 2)
    return (
        Claim(network, Box(np.array([0.75]), np.array([1.0])), DecisionPattern(), wanted),
        Claim(network, Box(np.array([0.25]), np.array([1.0])), DecisionPattern(), wanted),
    )


def test_a_true_claim_is_confirmed_by_other_engines() -> None:
    true, _ = simple()
    second = confirm(true, proved("highs"), tail=Tail(true.network, true.box, "relu1"))
    assert second.is_proved and second.confirmed
    assert second.second is not None and second.second.is_proved
    assert second.second.engines and "highs" not in second.second.engines


@pytest.mark.parametrize("first", ["highs", "bounds"])
def test_a_wrong_proof_is_taken_back(first: str) -> None:
    _, false = simple()
    answer = confirm(false, proved(first), budget=600)
    assert answer.status is Status.UNKNOWN and not answer.confirmed
    assert "has a witness" in answer.reason
    assert answer.second is not None and answer.second.status is Status.REFUTED


def test_only_proofs_have_a_second() -> None:
    true, _ = simple()
    with pytest.raises(QueryError, match="a claim that is proved"):
        second_proof(true, Verdict(Status.UNKNOWN))


# -- the attack ------------------------------------------------------------------------


def test_an_attack_finds_what_is_wrong_with_a_pattern() -> None:
    """No literal at all implies no class; exact replay agrees with what is found."""
    network, data = trained(0, 2, 6, 6, 3)
    predicted = outputs(network, data.inputs).argmax(1)
    claim = Claim(network, Box.uniform(2, 0, 1), DecisionPattern(), Property.argmax(0, 3))
    own, rest = data.inputs[predicted == 0], data.inputs[predicted != 0]
    result = attack_pattern(claim, own, rest, count=2000, batch=200)
    assert result.violating > 0 and result.replayed > 0 and result.least < 0
    assert result.worst is not None
    assert not claim.property.holds(outputs(network, result.worst[None])).any()


def test_an_attack_counts_only_inputs_with_the_pattern() -> None:
    """y = (relu(x), 1/2) and neuron 0 off: only x = 0 of [0, 1] has it, where class 0 loses."""
    network = simple()[0].network
    box = Box(np.array([0.0]), np.array([1.0]))
    off = DecisionPattern(off=frozenset({("relu1", 0)}))
    inputs = np.array([[0.4], [0.9]])
    claim = Claim(network, box, off, Property.argmax(0, 2))
    result = attack_pattern(claim, inputs, inputs[:0], count=50, batch=20)
    assert 0 < result.inside < result.evaluated
    assert result.violating == result.inside  # each of them is x = 0
    assert result.least == -0.5
