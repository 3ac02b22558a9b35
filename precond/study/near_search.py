"""Layer rules near data: proved around the inputs that support them, or strengthened until they
are.

A rule that is refuted near some of its inputs gets the literals that its counterexamples call for
(``strengthen``), as long as enough support is left; then it is asked again, near the inputs that
still support it and were not proved before.  A rule that cannot be mended stays as it is, with
its exact share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.basics.counting import how_many
from precond.basics.evenly import evenly
from precond.mine.layer_rules.learn import LayerRule
from precond.mine.near_data.balls import LADDER, DataBalls
from precond.mine.near_data.claims import (
    NearClaims,
    NearRule,
    ProofLimits,
    chosen_radius,
    counted,
    largest_radii,
)
from precond.mine.near_data.strengthen import Against, strengthened
from precond.mine.support import wilson
from precond.proof.deadline import Deadline
from precond.proof.near_data import NearData
from precond.proof.verdict import Verdict
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record
from precond.region.signature import Signatures
from precond.study.study import Work

Rows = NDArray[np.int64]
MOST = 2000  # training inputs that claims are made near
ROUNDS = 3  # of strengthening
LOSS = 0.5  # share of its support that a rule may lose
LARGEST = 0.08  # of the budget, for the largest radii
FIRST = 0.6  # of the time for the first answers, before rules are strengthened


@dataclass(eq=False)
class _State:
    """One rule as it is now, and what is known near its rows."""

    rule: LayerRule
    near: NearRule
    proved: set[int] = field(default_factory=set)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    strengthened: bool = False

    def open_rows(self) -> list[int]:
        return [
            int(row)
            for row in self.near.rows
            if int(row) not in self.proved
            and (int(row) not in self.verdicts or not self.verdicts[int(row)].status.holds)
        ]


class NearSearch:
    """Answers ``rules`` near data; afterwards ``rules``, ``near`` and ``notes`` say what came, and
    ``radius`` that of the balls (None: nothing was asked)."""

    def __init__(self, work: Work, rules: Sequence[LayerRule], deadline: Deadline) -> None:
        self.work, self.study, self.deadline = work, work.study, deadline
        self.rules = tuple(rules)
        self.near: dict[int, NearData] = {}
        self.notes: list[str] = []
        asked = work.options.support_radius
        self.radius: Radius | None = None
        self.claims = NearClaims(
            self.study.network,
            DataBalls.of(
                self.study.data, self.study.domain.box, of_range=asked is None or asked.of_range
            ),
            ProofLimits(device=work.options.device, seed=work.options.seed),
        )

    def run(self) -> None:
        states = {
            k: _State(rule, near) for k, rule in enumerate(self.rules) if (near := self._near(rule))
        }
        if not states:
            return
        self.work.progress.stage("layer rules near data", len(states))
        some = list(states.values())
        radius = self._radius([state.near for state in some])
        if radius is None:
            self.notes.append(
                "layer rules were not proved near data: even balls of radius "
                f"{self.claims.balls.radius(LADDER[0]).words} are too large for plain bounds, or "
                "there was too little time (--support-radius R asks all the same)"
            )
            return
        self.radius = self.claims.balls.radius(radius)
        self._ask(some, radius, self.deadline.earlier(FIRST * self.deadline.left))
        for _ in range(ROUNDS):
            changed = [s for s in some if not self.deadline.passed and self._strengthen(s)]
            if not changed or self.deadline.passed:
                break
            self._ask(changed, radius, self.deadline)
        limit = Deadline.after(LARGEST * self.work.options.budget)
        for state in some:
            if not limit.passed:
                self._strengthen(state, by_witness=False)
        limit = Deadline.after(LARGEST * self.work.options.budget)
        largest = largest_radii(self.claims, [state.near for state in some], limit)
        for k, state, own in zip(states, some, largest, strict=True):
            self.near[k] = counted(
                state.near,
                self.claims.balls,
                radius,
                proved=state.proved,
                verdicts=state.verdicts,
                largest=own,
            )
        self.rules = tuple(
            states[k].rule if k in states else rule for k, rule in enumerate(self.rules)
        )
        self._say(some)

    def _near(self, rule: LayerRule) -> NearRule | None:
        """What is claimed of a rule; None where nothing can be."""
        property = next(t.property for t in self.study.goal.targets if t.label == rule.label)
        rows = self._rows(rule.pattern, rule.label)
        return None if property is None or not len(rows) else NearRule(rule.pattern, property, rows)

    def _rows(self, pattern: DecisionPattern, label: int) -> Rows:
        """Training inputs of the domain that support a pattern, of an even sample of at most
        ``MOST``."""
        rows, signatures = self._sample
        own = self.study.within[rows] & (self.study.goal.labels[rows] == label)
        return np.asarray(rows[own & pattern.holds(signatures)])

    @cached_property
    def _sample(self) -> tuple[Rows, Signatures]:
        """At most ``MOST`` training inputs, evenly spread."""
        train = self.study.data.train
        rows = train[evenly(len(train), MOST)]
        return rows, self.study.signatures.rows(rows)

    @cached_property
    def _train(self) -> Signatures:
        return self.study.signatures.rows(self.study.data.train)

    def _radius(self, rules: Sequence[NearRule]) -> float | None:
        asked = self.work.options.support_radius
        limit = self.deadline.earlier(0.3 * self.deadline.left)
        return chosen_radius(self.claims, rules, limit) if asked is None else asked.size

    def _ask(self, states: Sequence[_State], radius: float, deadline: Deadline) -> None:
        """Prove what is open of some rules."""
        rules = [
            replace(state.near, rows=np.array(state.open_rows(), dtype=np.int64))
            for state in states
        ]
        proved = self.claims.by_bounds(rules, radius, deadline)
        for k, row in proved:
            states[k].proved.add(row)
            states[k].verdicts.pop(row, None)
        left = [
            (k, int(row))
            for k, rule in enumerate(rules)
            for row in rule.rows
            if (k, int(row)) not in proved
        ]
        verdicts = self.claims.by_engines(
            rules, left, radius, pool=self.work.pool, deadline=deadline
        )
        for (k, row), verdict in verdicts.items():
            states[k].verdicts[row] = verdict

    def _strengthen(self, state: _State, *, by_witness: bool = True) -> bool:
        """Add the literals that answer what stands against the rule; whether some were added.

        ``by_witness=False`` leaves out the inputs themselves, so that no claim is left open.
        """
        rows, against = state.near.rows, state.open_rows()
        hopeless = len(against) > LOSS * len(rows)  # or there was no time to ask
        if not against or hopeless or len(state.rule.pattern.layers) != 1:
            return False
        (layer,) = state.rule.pattern.layers
        least = max(self.work.options.least_support(len(self.study.data.train)), 1)
        pattern = strengthened(
            layer,
            state.rule.pattern,
            self._against(layer, rows, against, state=state if by_witness else None),
            minimum=max(min(least, len(rows)), int(LOSS * len(rows))),
            values=layer in self.study.signatures.pre_activations,
        )
        if pattern is None:
            return False
        return self._take(state, pattern)

    def _against(
        self, layer: str, rows: Rows, against: Sequence[int], state: _State | None
    ) -> Against:
        network, flat = self.study.network, self.study.data.flat
        values = record(network, np.asarray(flat[rows]), [layer], values=True).values(layer)
        witnesses = np.full((len(against), values.shape[1]), np.nan)
        known = [
            (k, verdict.witness)
            for k, row in enumerate(against)
            if state is not None
            and (verdict := state.verdicts.get(row)) is not None
            and verdict.witness is not None
        ]
        if known:
            points = np.stack([witness for _, witness in known])
            found = record(network, points, [layer], values=True).values(layer)
            witnesses[[k for k, _ in known]] = found
        place = {int(row): k for k, row in enumerate(rows)}
        return Against(values, np.array([place[row] for row in against]), witnesses)

    def _take(self, state: _State, pattern: DecisionPattern) -> bool:
        """Use ``pattern`` in the rule's place."""
        study, rule = self.study, state.rule
        train = study.data.train
        inside = pattern.holds(self._train)
        hits = int((inside & (study.goal.labels[train] == rule.label)).sum())
        support = int(inside.sum())
        if not support:
            return False
        state.rule = replace(
            rule,
            pattern=pattern,
            support=support,
            precision=hits / support,
            confidence=wilson(hits, support)[0],
        )
        rows = self._rows(pattern, rule.label)
        state.near = replace(state.near, pattern=pattern, rows=rows)
        # A proof about the larger region holds of the smaller; a counterexample may be outside it.
        kept = set(map(int, rows))
        state.proved = {
            row
            for row in state.proved | {r for r, v in state.verdicts.items() if v.status.holds}
            if row in kept
        }
        state.verdicts = {}
        state.strengthened = True
        return True

    def _say(self, states: Sequence[_State]) -> None:
        added = sum(state.strengthened for state in states)
        if added:
            self.notes.append(
                f"{how_many(added, 'layer rule')} got literals that counterexamples near data "
                "called for"
            )
