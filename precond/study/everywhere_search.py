"""Layer rules that are proved for every input of the domain: values of the last decision layer
that imply a class through the layers after it, class after class.

Only what ``prove`` proves of the whole network becomes a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from precond.basics.evenly import evenly
from precond.mine.layer_rules.learn import LayerRule
from precond.mine.support import wilson
from precond.mine.value_rules.affine_tail import AffineTail
from precond.mine.value_rules.learn import ValueRule, spread_of, value_rules
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.verdict import Verdict
from precond.study.goals import Target
from precond.study.study import Work
from precond.workers.pool import ProofJob

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MOST = 20  # rules of a class
INPUTS = 2000  # training inputs of a class that boxes are fitted to
EACH = 5.0  # seconds for a proof


class EverywhereSearch:
    """Fills ``rules`` with those that are proved and their verdicts, and ``notes``."""

    def __init__(self, work: Work, deadline: Deadline) -> None:
        self.work, self.study, self.deadline = work, work.study, deadline
        self.rules: list[tuple[LayerRule, Verdict]] = []
        self.notes: list[str] = []

    def run(self) -> None:
        targets = [t for t in self.study.goal.targets if t.property is not None]
        if not self.study.goal.kind.by_class or not targets:
            return
        tail = AffineTail.of(self.study.network, self.study.domain.box, self.deadline)
        if tail is None or tail.layer not in self.study.signatures.pre_activations:
            self.notes.append(
                "no rules for every input were looked for: "
                + (
                    "more than an affine map follows the last layer that the network can be cut at"
                    if tail is None
                    else f"there was no room to keep the values of {tail.layer}"
                )
            )
            return
        self.work.progress.stage("layer rules for every input", len(targets))
        some = self.study.data.train[:: max(1, len(self.study.data.train) // (10 * INPUTS))]
        scale = spread_of(self.study.signatures.values(tail.layer)[some])
        for done, target in enumerate(targets):
            share = self.deadline.left / (len(targets) - done)
            self._class(tail, target, scale, limit=self.deadline.earlier(share))
            self.work.progress.step()
            if self.deadline.passed:
                self.notes.append(
                    f"time ran out after {done + 1} of {len(targets)} classes were searched for "
                    "rules that hold for every input"
                )
                return

    def _class(self, tail: AffineTail, target: Target, scale: Array, limit: Deadline) -> None:
        rows = self._rows(target)
        if len(rows) < self.work.options.least_support(len(self.study.data.train)):
            return
        fitting = limit.earlier(0.7 * limit.left)
        values = self.study.signatures.values(tail.layer)[rows]
        candidates = [
            one
            for one in value_rules(
                tail,
                target.label,
                np.asarray(values),
                scale=scale,
                most=MOST,
                seed=self.work.options.seed,
                deadline=fitting,
            )
            if int(one.inside.sum()) > 1
        ]
        verdicts = self._proved(candidates, target, rows, limit=limit)
        for k, verdict in sorted(verdicts.items()):
            if verdict.is_proved:
                self.rules.append((self._rule(candidates[k], tail), verdict))

    def _rows(self, target: Target) -> Rows:
        """Training inputs of the domain that the network gives the class."""
        train = self.study.data.train
        own = train[self.study.within[train] & (self.study.goal.labels[train] == target.label)]
        return np.asarray(own[evenly(len(own), INPUTS)])

    def _proved(
        self, candidates: list[ValueRule], target: Target, rows: Rows, limit: Deadline
    ) -> dict[int, Verdict]:
        assert target.property is not None
        property, verdicts = target.property, dict[int, Verdict]()

        def jobs() -> Iterator[ProofJob]:
            for one in candidates:
                if limit.passed:
                    return
                yield ProofJob(
                    Claim(
                        self.study.network, self.study.domain.box, one.pattern, property=property
                    ),
                    max(0.1, min(EACH, limit.left)),
                    self.study.data.flat[rows[one.inside][:4]],
                    device=self.work.options.device,
                    seed=self.work.options.seed,
                )

        self.work.pool.map(jobs(), verdicts.__setitem__)
        return verdicts

    def _rule(self, one: ValueRule, tail: AffineTail) -> LayerRule:
        study = self.study
        inside = one.pattern.holds(study.signatures)[study.data.train]
        hits = int((inside & study.carries(one.label)[study.data.train]).sum())
        support = int(inside.sum())
        return LayerRule(
            label=one.label,
            layer=tail.layer,
            pattern=one.pattern,
            support=support,
            precision=hits / support if support else 0.0,
            confidence=wilson(hits, support)[0],
        )
