"""Adversarial examples from refuted claims: found, minimised, replayed, deduplicated.

Two kinds of claims are put to the provers and their witnesses kept: *balls* (every input within a
radius of a training input has its class) and *rules* (every input of the natural range with a
layer rule's pattern has the rule's class).  A witness is minimised towards a real input.  It counts
if it is another class surely (rigorous bounds at that point) and in float32, at float32 values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.adversarial_examples.minimise import WitnessTarget, minimise
from precond.apply.adversarial_examples.settings import AdversarialSettings
from precond.apply.adversarial_examples.sparse import fewest_changes
from precond.apply.certification.answers import BallOutcome
from precond.apply.certification.batch import violates
from precond.apply.certification.certify import robustness
from precond.apply.certification.settings import RobustnessSettings
from precond.apply.true_classes import check_classes
from precond.basics.notebook import NotebookLine
from precond.data.datasets import Dataset
from precond.errors import DataError
from precond.mine.layer_rules.learn import LayerRule
from precond.network.evaluate import check_inputs, outputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record, record_in_time
from precond.region.value_ranges import ValueRanges

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
CHANGED = 1e-6  # a value that moved less is not counted as changed
CLASSIFYING = 0.3  # of the budget, for the classes of the training inputs at most
DRAWING = 0.15  # of the budget, for making examples of witnesses
SHORTLY = 5.0  # seconds for making them after Ctrl-C, at most
SAME = 0.25  # two examples of one input nearer than this share of their size are one


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """One adversarial example.

    ``input`` (n,) float32 is given class ``predicted`` though ``anchor``, the real training
    input it was minimised to, is rightly given ``label``.  ``claim`` names the refuted claim;
    ``linf``, ``l2``, ``changed`` measure its distance from the anchor; ``witness`` (n,) is the
    witness before minimising, ``witness_linf`` its distance.  ``fewest`` (n,) changes as few values
    of the anchor as was found, ``fewest_changed`` of them, anywhere in the natural range (None
    and 0 where 40 were not enough).
    """

    input: NDArray[np.float32]
    anchor: int
    label: int
    predicted: int
    claim: str
    linf: float
    l2: float
    changed: int
    witness: Array
    witness_linf: float
    fewest: NDArray[np.float32] | None
    fewest_changed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Adversarial(NotebookLine):
    """Distinct ``examples``, nearest to their anchors first.  ``refuted``: witnesses there were;
    ``lost``: those that no longer counted in float32 values; ``alike``: duplicates dropped;
    ``claims``: put to the provers; ``interrupted``: Ctrl-C left some of them out."""

    examples: tuple[Example, ...]
    claims: int
    refuted: int
    lost: int
    alike: int
    seconds: float
    interrupted: bool = False

    def __repr__(self) -> str:
        return f"Adversarial({len(self.examples)} examples of {self.claims} claims)"

    def inputs(self) -> NDArray[np.float32]:  # (M, n)
        return np.stack([e.input for e in self.examples])

    def labels(self) -> Rows:  # the right classes (M,)
        return np.array([e.label for e in self.examples], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Witness:
    claim: str
    point: Array
    target: WitnessTarget


def adversarial(
    network: Network,
    data: Dataset,
    settings: AdversarialSettings | None = None,
    *,
    rules: Sequence[LayerRule] = (),
    ledger: Ledger | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> Adversarial:
    """Examples from balls around training inputs that are predicted right (drawn where there are
    more than asked for), and from the ``rules``' claims.

    A third of the budget goes to the rules.  DataError where no training input is predicted
    right, or labels are missing or do not fit.
    """
    started, network = time.monotonic(), network.logits
    settings = settings or AdversarialSettings()
    device, train, ranges = settings.device, data.train, ValueRanges.of(data)
    radius = ranges.plain(Radius.of(settings.radius))
    check_inputs(network, data.inputs)
    labels = check_classes(data.labels, len(data), network)
    flat = data.flat
    end = Deadline.after(settings.budget)
    until = end.earlier(CLASSIFYING * settings.budget)
    seen, kept = record_in_time(network, flat[train], (), until=until, device=device)
    train, predicted = train[kept], seen.predicted
    right = train[predicted == labels[train]]
    if not len(right):
        raise DataError("right training inputs", expected="one or more", got="none")
    chosen = right
    if len(right) > settings.most:
        drawn = np.random.default_rng(settings.seed).choice(right, settings.most, replace=False)
        chosen = np.sort(drawn)
    witnesses: list[_Witness] = []
    claims, interrupted = 0, False
    try:
        for witness in _rule_witnesses(
            network, data, right, rules=rules, settings=settings, ledger=ledger, done=done
        ):
            claims += 1
            witnesses += [] if witness is None else [witness]
        balls = RobustnessSettings(
            radii=(radius,),
            natural=ranges,
            budget=end.left - DRAWING * settings.budget,
            each=settings.each,
            device=device,
            seed=settings.seed,
        )
        found = robustness(network, flat, balls, rows=chosen, ledger=ledger, done=done)
        claims, interrupted = claims + len(found.rows), found.interrupted
        for row, ball in zip(found.rows.tolist(), found.balls[0], strict=True):
            if ball.outcome is BallOutcome.ATTACKED and ball.witness is not None:
                target = WitnessTarget(row, label=int(labels[row]), pattern=None)
                name = f"ball of {radius} around {row}"
                witnesses.append(_Witness(name, ball.witness, target))
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        end = end.earlier(min(SHORTLY, DRAWING * settings.budget))
    examples, lost, alike = _examples(network, data, witnesses, deadline=end, device=device)
    return Adversarial(
        examples=examples,
        claims=claims,
        refuted=len(witnesses),
        lost=lost,
        alike=alike,
        seconds=time.monotonic() - started,
        interrupted=interrupted,
    )


def _rule_witnesses(
    network: Network,
    data: Dataset,
    right: Rows,
    rules: Sequence[LayerRule],
    settings: AdversarialSettings,
    ledger: Ledger | None,
    done: Callable[[int], None],
) -> Iterator[_Witness | None]:
    """For every claim that was put its witness, if there is one, with the nearest right training
    input that has the rule."""
    assert data.labels is not None
    flat, labels, device = data.flat, data.labels, settings.device
    deadline = Deadline.after(settings.budget / 3)
    box = ValueRanges.of(data).box
    layers, until = sorted({r.layer for r in rules}), deadline.earlier(0.5 * deadline.left)
    signatures, kept = record_in_time(network, flat[right], layers, until=until, device=device)
    right = right[kept]
    for number, rule in enumerate(rules):
        done(1)
        inside = right[rule.pattern.holds(signatures)]
        own = inside[labels[inside] == rule.label]
        if deadline.passed or not len(own):
            continue
        verdict = prove(
            Claim(network, box, rule.pattern, property=Property.of_class(rule.label, network)),
            budget=min(settings.each, deadline.left),
            points=np.asarray(flat[inside[:64]], dtype=np.float64),
            ledger=ledger,
            device=device,
        )
        if verdict.status is not Status.REFUTED or verdict.witness is None:
            yield None
            continue
        gap = np.linalg.norm(flat[own] - verdict.witness, axis=1)
        target = WitnessTarget(int(own[gap.argmin()]), rule.label, rule.pattern)
        yield _Witness(f"rule {number + 1} of class {rule.label}", verdict.witness, target)


def _examples(
    network: Network,
    data: Dataset,
    witnesses: Sequence[_Witness],
    deadline: Deadline,
    device: str,
) -> tuple[tuple[Example, ...], int, int]:
    """(distinct examples, lost, alike)."""
    if not witnesses:
        return (), 0, 0
    anchors = np.array([w.target.anchor for w in witnesses], dtype=np.int64)
    near = np.asarray(data.flat[anchors], dtype=np.float64)
    points = np.stack([w.point for w in witnesses])
    targets = [w.target for w in witnesses]
    small = minimise(
        network, witnesses=points, anchors=near, targets=targets, device=device, deadline=deadline
    )
    exact = small.astype(np.float32)
    values = exact.astype(np.float64)
    classes = np.array([w.target.label for w in witnesses], dtype=np.int64)
    surely, in_float32 = violates(network, values, classes, device=device)
    said = network.classes.predicted(outputs(network, values, device=device))
    good = surely & in_float32 & _patterns_hold(network, values, witnesses, device=device)
    gaps = values - near
    few = fewest_changes(
        network, near, classes, natural=ValueRanges.of(data), device=device, deadline=deadline
    ).astype(np.float32)
    solved: NDArray[np.bool_] = np.asarray(np.isfinite(few).all(axis=1))
    solved[solved] = np.logical_and(
        *violates(network, few[solved].astype(np.float64), classes[solved], device=device)
    )
    counts = (np.abs(few - near) > CHANGED).sum(axis=1)
    examples = [
        Example(
            input=exact[k],
            anchor=int(anchors[k]),
            label=int(classes[k]),
            predicted=int(said[k]),
            claim=witness.claim,
            linf=float(np.abs(gaps[k]).max()),
            l2=float(np.linalg.norm(gaps[k])),
            changed=int((np.abs(gaps[k]) > CHANGED).sum()),
            witness=witness.point,
            witness_linf=float(np.abs(witness.point - near[k]).max()),
            fewest=few[k] if solved[k] else None,
            fewest_changed=int(counts[k]) if solved[k] else 0,
        )
        for k, witness in enumerate(witnesses)
        if good[k]
    ]
    distinct = _distinct(examples)
    return (
        tuple(sorted(distinct, key=lambda e: (e.linf, e.anchor))),
        len(witnesses) - len(examples),
        len(examples) - len(distinct),
    )


def _patterns_hold(
    network: Network, points: Array, witnesses: Sequence[_Witness], device: str
) -> NDArray[np.bool_]:
    result = np.ones(len(points), dtype=np.bool_)
    with_pattern = [k for k, w in enumerate(witnesses) if w.target.pattern is not None]
    if with_pattern:
        seen = record(network, points[with_pattern], device=device)
        for place, k in enumerate(with_pattern):
            pattern = witnesses[k].target.pattern or DecisionPattern()
            result[k] = bool(pattern.holds(seen.rows(np.array([place])))[0])
    return result


def _distinct(examples: Sequence[Example]) -> list[Example]:
    """Without examples of one anchor that lie close together (the first stays)."""
    kept: dict[int, list[Example]] = {}
    for example in examples:
        others = kept.setdefault(example.anchor, [])
        if not any(
            np.linalg.norm(example.input - o.input) <= SAME * max(example.l2, o.l2) for o in others
        ):
            others.append(example)
    return [example for others in kept.values() for example in others]
