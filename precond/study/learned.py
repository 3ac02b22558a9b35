"""What a run taught, in one or two sentences, and the rules in the order in which they add to it.

A layer rule *explains* a prediction when the input has the rule's pattern and what the rule
implies.  Rules are ordered greedily: first the one that explains most training inputs, then the
one that explains most of the rest, and so on; what each adds is counted on held-out inputs too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from precond.basics.counting import how_many, percent
from precond.data.dataset import class_name
from precond.errors import DataError
from precond.proof.precondition import Kind, Precondition
from precond.region.radius import Radius
from precond.study.analysis import Analysis
from precond.study.goals import GoalKind

Mask = NDArray[np.bool_]
FEW = 5  # held-out inputs that a class must have to be called the weakest


@dataclass(frozen=True)
class RuleGain:
    """A layer rule by its position in the analysis; the training and held-out inputs it explains
    that no earlier rule explains, and the share of held-out ones explained by then."""

    position: int
    train: int
    held_out: int
    reached: float | None


@dataclass(frozen=True)
class Weakest:
    """The class of the smallest share of explained held-out inputs.  ``largest``: the training
    inputs of its largest rule, of ``inputs``; ``rival``: the class that its inputs without a rule
    come closest to."""

    label: str
    explained: float
    largest: int
    inputs: int
    rival: str | None


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What the layer rules of a run come to.

    ``explained``: the share of held-out inputs with some rule's pattern, ``precision``: the share
    of these for which the rules say what the network says.  ``near``: of the ``counted`` rules,
    which are not proved everywhere, those that are proved near all inputs that support them,
    ``asked`` those that this was asked of.  ``everywhere``: rules proved for every input of the
    domain, and the held-out inputs that these explain, rightly or not.
    """

    counted: int
    held_out: int
    explained: float | None
    precision: float | None
    radius: Radius | None
    asked: int
    near: int
    everywhere: int
    everywhere_explained: float | None
    everywhere_wrong: int
    weakest: Weakest | None
    order: tuple[RuleGain, ...]

    @classmethod
    @lru_cache(maxsize=2)
    def of(cls, analysis: Analysis) -> Learned:
        """Counted from an analysis."""
        items = analysis.preconditions
        rules = [k for k, item in enumerate(items) if item.kind is Kind.LAYER]
        holds = {k: _holds(items[k], analysis) for k in rules}
        carries: dict[str, Mask] = {}
        for k in rules:
            if items[k].label not in carries:
                carries[items[k].label] = _carries(items[k], analysis)
        right = {k: holds[k] & carries[items[k].label] for k in rules}
        sure = [k for k in rules if items[k].verdict.is_proved]
        near = [one for k in rules if k not in sure and (one := items[k].near) is not None]
        held = analysis.data.held_out
        count = len(held)

        def share(positions: Sequence[int], masks: dict[int, Mask]) -> float | None:
            return float(_union(positions, masks, analysis)[held].mean()) if count else None

        wrong = sum(int((holds[k] & ~right[k])[held].sum()) for k in sure)
        return cls(
            counted=len(rules) - len(sure),
            held_out=count,
            explained=share(rules, holds) if rules else None,
            precision=_precision(analysis),
            radius=near[0].radius if near else None,
            asked=len(near),
            near=sum(one.is_proved for one in near),
            everywhere=len(sure),
            everywhere_explained=share(sure, right),
            everywhere_wrong=wrong,
            weakest=_weakest(analysis, rules, right),
            order=_order(analysis, rules, right),
        )

    def sentences(self) -> tuple[str, ...]:
        """For people: what is explained and proved where; the weakest class and why."""
        if self.explained is None:
            return ("No layer rule was found, so no prediction is explained.",)
        share = percent(self.explained)
        words = f"Rules over neurons explain {share} of {self.held_out} held-out predictions"
        if self.precision is not None:
            words += f" at {percent(self.precision)} precision"
        parts = [f"{how_many(self.counted, 'rule')} counted on data"] if self.counted else []
        if self.radius is not None:
            parts.append(
                f"{self.near} of these proved within {self.radius.words}"
                f"{' around' if self.radius.of_range else ' of'} every training input that "
                "supports them"
            )
        if self.everywhere:
            share = percent(self.everywhere_explained)
            parts.append(
                f"{how_many(self.everywhere, 'rule')} proved for every input of the domain "
                f"({share} of predictions, {self.everywhere_wrong} wrong)"
            )
        first = f"{words}: {', '.join(parts)}."
        return (first,) if self.weakest is None else (first, _of_weakest(self.weakest))


def _of_weakest(weakest: Weakest) -> str:
    words = f"The weakest class is {weakest.label}, {percent(weakest.explained)} explained: "
    if not weakest.largest:
        words += f"no rule holds for enough of its {weakest.inputs} training inputs"
    else:
        words += f"its largest rule holds for {weakest.largest} of {weakest.inputs} training inputs"
    if weakest.rival is not None:
        words += f", and its inputs without a rule come closest to class {weakest.rival}"
    return f"{words}."


def _precision(analysis: Analysis) -> float | None:
    return analysis.curve[0].precision if analysis.curve else None


def _holds(item: Precondition, analysis: Analysis) -> Mask:
    """Which inputs have a rule's pattern; none where its layers were not recorded."""
    try:
        return item.pattern.holds(analysis.signatures)
    except DataError:
        return np.zeros(len(analysis.signatures), dtype=np.bool_)


def _carries(item: Precondition, analysis: Analysis) -> Mask:
    """Which inputs have what a rule implies."""
    outputs, data = analysis.signatures.outputs, analysis.data
    if item.property is not None:
        return np.asarray(item.property.holds(outputs, data.flat))
    if data.labels is None:
        return np.ones(len(outputs), dtype=np.bool_)
    correct = np.asarray(analysis.signatures.predicted == data.labels)
    return correct if item.label == "correct" else ~correct


def _union(positions: Sequence[int], masks: dict[int, Mask], analysis: Analysis) -> Mask:
    union = np.zeros(len(analysis.signatures), dtype=np.bool_)
    for k in positions:
        union |= masks[k]
    return union


def _order(
    analysis: Analysis, rules: Sequence[int], right: dict[int, Mask]
) -> tuple[RuleGain, ...]:
    """Greedy on training inputs, until no rule adds one; of equal ones that which is proved."""
    data, items = analysis.data, analysis.preconditions
    left = np.ones(len(analysis.signatures), dtype=np.bool_)
    order: list[RuleGain] = []
    reached = 0

    def merit(k: int) -> tuple[int, bool, bool, int]:
        near = items[k].near
        gain = int((right[k] & left)[data.train].sum())
        return gain, items[k].verdict.is_proved, bool(near and near.is_proved), -k

    # Gains only fall, so that a rule whose gain was just counted and is still the largest is best.
    waiting = [(merit(k), k) for k in rules]
    while waiting:
        known, best = max(waiting)
        waiting.remove((known, best))
        if (now := merit(best)) != known:
            waiting.append((now, best))
            continue
        if not now[0]:
            break
        more = int((right[best] & left)[data.held_out].sum())
        reached += more
        share = reached / len(data.held_out) if len(data.held_out) else None
        order.append(RuleGain(best, now[0], more, reached=share))
        left &= ~right[best]
    return tuple(order)


def _weakest(analysis: Analysis, rules: Sequence[int], right: dict[int, Mask]) -> Weakest | None:
    """Among predicted classes; None where rules are about something else."""
    if analysis.goal is not GoalKind.CLASSES:
        return None
    data, predicted = analysis.data, analysis.signatures.predicted
    found: list[Weakest] = []
    for label in map(int, np.unique(predicted)):
        own = predicted == label
        held = int(own[data.held_out].sum())
        if held < FEW:
            continue
        mine = [k for k in rules if analysis.preconditions[k].label == str(label)]
        covered = _union(mine, right, analysis)
        largest = max((int(right[k][data.train].sum()) for k in mine), default=0)
        found.append(
            Weakest(
                class_name(label, analysis.data.classes),
                float(covered[data.held_out][own[data.held_out]].mean()),
                largest,
                inputs=int(own[data.train].sum()),
                rival=_rival(analysis, label, own & ~covered),
            )
        )
    return min(found, key=lambda one: one.explained, default=None)


def _rival(analysis: Analysis, label: int, rows: Mask) -> str | None:
    """The class whose score comes second most often among some inputs of a class."""
    classes = analysis.network.classes
    if not rows.any() or classes.count < 3:
        return None
    scores = np.array(classes.scores(analysis.signatures.outputs[rows]))
    scores[:, label] = -np.inf
    seconds = np.bincount(scores.argmax(axis=1), minlength=classes.count)
    return class_name(int(seconds.argmax()), analysis.data.classes)
