"""Causes of errors: what several errors have in common and right inputs have not.

Conditions of every kind (``conditions``) compete in one cover (``cover``), found on one half of
the errors and checked on the other (``cases``).  A cause explains two errors of the finding half
or more; errors that no cause explains are *single*.  Each error counts for one cause, the first
it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.actions import Action, Workshop
from precond.apply.debugging.by_attribution import agreed_regions, influence_candidates, regions_of
from precond.apply.debugging.by_rules import (
    hesitation_candidates,
    label_candidates,
    rule_candidates,
    strength_candidates,
)
from precond.apply.debugging.cases import Cases, Count
from precond.apply.debugging.conditions import Condition, SwitchedUnit, UsualRegion, title
from precond.apply.debugging.cover import FIRST, Covered, PossibleCause, cover
from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.edits import EditedAnswers, region_candidates, switch_candidates
from precond.apply.debugging.rule_book import RuleBook
from precond.proof.deadline import Deadline

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
SEARCHING = 0.6  # of the time, for the search; the rest for actions
CLUSTERS, REGIONS = 0.2, 0.5  # of the time left then, at most


@dataclass(frozen=True, eq=False, kw_only=True)
class Cause:
    """``condition`` is met by the errors ``rows`` (of both halves; each counts for one cause),
    and by ``right`` ones among the right inputs compared.  ``found`` and ``checked`` count all
    that meet it, in either half.  ``bits``: its score; ``tried``: conditions of its kind;
    ``classes``: their names, where they have some.
    """

    condition: Condition
    rows: Rows
    right: Rows
    found: Count
    checked: Count
    bits: float
    tried: int
    actions: tuple[Action, ...] = ()
    classes: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        return title(self.condition, self.classes)

    @property
    def weak(self) -> bool:
        """Whether, among so many conditions tried, it could be chance."""
        return self.bits <= 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Causes:
    """Causes, the one that says most first; ``single`` errors have none."""

    cases: Cases
    causes: tuple[Cause, ...]
    single: Rows
    notes: tuple[str, ...] = ()

    def explained(self, first: int, *, finding: bool) -> tuple[int, int]:
        """Errors of one half that the ``first`` causes explain, and errors of that half."""
        cases = self.cases
        half = cases.wrong & (cases.finding == finding)
        rows = [cause.rows for cause in self.causes[:first]]
        met = np.isin(cases.rows[half], np.concatenate(rows) if rows else [])
        return int(met.sum()), int(half.sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What causes are looked for in: ``gradients`` (k, n) of the first k of the ``examined``
    rows, for what was predicted rather than the label."""

    book: RuleBook
    labels: Rows
    cases: Cases
    suspects: tuple[Suspect, ...]
    examined: Rows
    gradients: Array
    image_shape: tuple[int, ...] | None = None
    features: Sequence[str] | None = None
    classes: tuple[str, ...] | None = None
    seed: int = 0
    device: str = "cpu"


def find_causes(evidence: Evidence, deadline: Deadline) -> Causes:
    """Causes, and what helps against the first of them."""
    book, cases = evidence.book, evidence.cases
    searching = deadline.earlier(SEARCHING * deadline.left)
    candidates, notes = _candidates(evidence, cases, searching)
    chosen = cover(candidates, cases)
    workshop = Workshop(
        network=book.network,
        inputs=book.inputs,
        labels=evidence.labels,
        train=book.train,
        cases=cases,
        suspects=evidence.suspects,
        edits=[c for c in candidates if isinstance(c.condition, SwitchedUnit | UsualRegion)],
        seed=evidence.seed,
        device=evidence.device,
    )
    found = []
    for rank, one in enumerate(chosen):
        tried = workshop.actions(one, deadline) if rank < FIRST else ()
        found.append(replace(_cause(one, cases, tried), classes=evidence.classes))
    explained = np.zeros(len(cases.rows), dtype=np.bool_)
    for one in chosen:
        explained |= one.explained
    return Causes(
        cases=cases,
        causes=tuple(found),
        single=cases.rows[cases.wrong & ~explained],
        notes=tuple(notes),
    )


def _cause(covered: Covered, cases: Cases, actions: tuple[Action, ...]) -> Cause:
    inside = covered.candidate.inside
    return Cause(
        condition=covered.candidate.condition,
        rows=cases.rows[covered.explained],
        right=cases.rows[inside & ~cases.wrong],
        found=cases.count(inside, cases.finding),
        checked=cases.count(inside, ~cases.finding),
        bits=covered.bits,
        tried=covered.candidate.tried,
        actions=actions,
    )


def _candidates(
    evidence: Evidence, cases: Cases, deadline: Deadline
) -> tuple[list[PossibleCause], list[str]]:
    """Conditions of every kind, and notes on what there was no time for."""
    book, network, notes = evidence.book, evidence.book.network, list[str]()
    scores = network.classes.scores(np.asarray(book.signatures.outputs[cases.rows]))
    found = [
        *label_candidates(evidence.suspects, cases),
        *strength_candidates(book, cases),
        *rule_candidates(book, cases),
        *hesitation_candidates(scores, cases),
    ]
    limit = deadline.earlier(CLUSTERS * deadline.left)
    clusters, whole = influence_candidates(network, book.inputs, cases, deadline=limit)
    found += clusters
    if not whole:
        notes.append("time ran out: clusters of influences were not compared")
    answers = EditedAnswers(network, book.inputs[cases.rows], evidence.device)
    known = evidence.examined[: len(evidence.gradients)]
    half = np.isin(known, cases.rows[cases.wrong & cases.finding])
    sizes = regions_of(book.inputs.shape[1], evidence.image_shape, evidence.features)
    agreed = agreed_regions(evidence.gradients[half], sizes)
    limit = deadline.earlier(REGIONS * deadline.left)
    every = [region for regions in sizes for region in regions]
    regions, whole = region_candidates(answers, cases, every, agreed=agreed, deadline=limit)
    found += regions
    if not whole:
        notes.append("time ran out: not all regions of the input were tried")
    layers = [n for n in network.decision_layers if n in book.signatures.layers]
    switches, whole = switch_candidates(answers, cases, layers, deadline=deadline)
    found += switches
    if not whole:
        notes.append("time ran out: not every unit was switched")
    return found, notes
