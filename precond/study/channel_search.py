"""Channel rules of a run: every convolutional ReLU layer is mined, then rules are proved near data.

A rule with channels that fire is a disjunction.  What is put to the bounds is its silent part, a
larger region: a proof of it holds of the rule, and an answer against it says nothing of the rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from precond.basics.evenly import evenly
from precond.mine.layer_rules.channels import ChannelRule, channel_rules
from precond.mine.layer_rules.probes import Probes, mixed_inputs
from precond.mine.near_data.balls import DataBalls
from precond.mine.near_data.claims import NearClaims, NearRule, ProofLimits, counted
from precond.proof.deadline import Deadline
from precond.proof.near_data import NearData
from precond.proof.verdict import Status
from precond.region.channels import MapShape, map_layers
from precond.region.radius import Radius
from precond.region.recording import record
from precond.region.signature import Signatures
from precond.study.channel_rules import ChannelPrecondition, ChannelResult
from precond.study.study import Work

PROBES = 4000
PROBING = 0.5  # of the time for mining, for running the probes through the network
MOST = 2000  # training inputs that claims are made near
ENGINES = 0.5  # of the time for proofs, for claims of silent rules that bounds leave open

Rows = NDArray[np.int64]


class ChannelSearch:
    """Fills ``rules``, ``near`` (by position) and ``notes``."""

    def __init__(self, work: Work) -> None:
        self.work, self.study = work, work.study
        self.rules: tuple[ChannelRule, ...] = ()
        self.near: dict[int, NearData] = {}
        self.notes: list[str] = []

    def mine(self, layers: Sequence[str] | None, limit: Deadline) -> None:
        """Learn rules layer after layer, the last first."""
        every = map_layers(self.study.network)
        chosen = [m for m in reversed(every) if layers is None or m.layer in layers]
        train = self.study.data.train
        labels = self.study.goal.labels[train]
        wanted = [t.label for t in self.study.goal.targets if (labels == t.label).any()]
        if not chosen or not wanted or len(np.unique(labels)) < 2:
            return
        self.work.progress.stage("channel rules", len(chosen))
        probes = self._probes(chosen, limit.earlier(PROBING * limit.left))
        seen = self.study.signatures.rows(train)
        rules: list[ChannelRule] = []
        for position, maps in enumerate(chosen):
            if limit.passed:
                names = ", ".join(m.layer for m in chosen[position:])
                self.notes.append(f"time ran out before the channels of {names} were mined")
                break
            rules += channel_rules(
                seen,
                labels,
                maps,
                minimum_precision=self.work.options.minimum_precision,
                minimum_support=self.work.options.least_support(len(train)),
                classes=wanted,
                probes=probes,
                seed=self.work.options.seed,
                deadline=limit,
            )
            self.work.progress.step()
        self.rules = tuple(sorted(rules, key=lambda rule: -rule.support))

    def _probes(self, chosen: Sequence[MapShape], limit: Deadline) -> Probes | None:
        """Mixes of training inputs, labelled by the network, that rules must not fail on."""
        if self.study.goal.relabel is None:
            return None
        data = self.study.data
        recorded = record(
            self.study.network,
            mixed_inputs(data.flat[data.train], PROBES, self.work.options.seed),
            [maps.layer for maps in chosen],
            device=self.work.options.device,
            until=limit,
        )
        return Probes(recorded, self.study.goal.relabel(recorded))

    def prove(self, limit: Deadline, radius: Radius | None) -> None:
        """Rules in balls of ``radius`` around the inputs that support them, those that are silent
        alone first.  ``None``: no radius is known at which bounds prove anything."""
        if radius is None or limit.passed:
            return
        properties = {t.label: t.property for t in self.study.goal.targets}
        rows, signatures = self._sample()
        near: dict[int, NearRule] = {}
        for k in sorted(range(len(self.rules)), key=lambda k: not self._silent(k)):
            own = self._rows(self.rules[k], rows, signatures)
            property = properties[self.rules[k].label]
            if property is not None and len(own):
                near[k] = NearRule(self.rules[k].pattern.silent_part, property, own)
        if not near:
            return
        self.work.progress.stage("channel rules near data", len(near))
        box = self.study.domain.box
        balls = DataBalls.of(self.study.data, box, of_range=radius.of_range)
        limits = ProofLimits(device=self.work.options.device, seed=self.work.options.seed)
        self._ask(near, NearClaims(self.study.network, balls, limits), radius.size, limit=limit)

    def _ask(
        self, near: dict[int, NearRule], claims: NearClaims, radius: float, limit: Deadline
    ) -> None:
        places, some = list(near), list(near.values())
        bounds = limit.earlier(ENGINES * limit.left)
        proved = claims.by_bounds(some, radius, bounds)
        left = [
            (j, int(row))
            for j, rule in enumerate(some)
            if self._silent(places[j])
            for row in rule.rows
            if (j, int(row)) not in proved
        ]
        verdicts = claims.by_engines(some, left, radius, pool=self.work.pool, deadline=limit)
        for j, (k, rule) in enumerate(near.items()):
            own = {row: v for (i, row), v in verdicts.items() if i == j}
            if any(i == j for i, _ in proved) or any(
                v.status.holds or v.status is Status.REFUTED for v in own.values()
            ):
                self.near[k] = counted(
                    rule,
                    claims.balls,
                    radius,
                    proved={row for i, row in proved if i == j},
                    verdicts=own,
                    largest=None,
                )

    def _silent(self, k: int) -> bool:
        return self.rules[k].pattern.is_silence

    def _sample(self) -> tuple[Rows, Signatures]:
        """At most ``MOST`` training inputs, evenly spread."""
        train = self.study.data.train
        rows = train[evenly(len(train), MOST)]
        return rows, self.study.signatures.rows(rows)

    def _rows(self, rule: ChannelRule, rows: Rows, signatures: Signatures) -> Rows:
        """Those of ``rows`` in the domain that support a rule."""
        own = self.study.within[rows] & (self.study.goal.labels[rows] == rule.label)
        return np.asarray(rows[own & rule.pattern.holds(signatures)])

    def result(self) -> ChannelResult | None:
        """The rules and what they explain; None without rules."""
        held = self.study.data.held_out
        rules = self.preconditions()
        if not rules:
            return None
        labels = self.study.goal.labels[held]
        return ChannelResult.of(rules, self.study.signatures.rows(held), labels)

    def preconditions(self) -> tuple[ChannelPrecondition, ...]:
        """The rules with their counts, largest support first."""
        names = {target.label: target for target in self.study.goal.targets}
        counts: dict[str, int] = {}
        result = []
        for k, rule in enumerate(self.rules):
            target = names[rule.label]
            counts[target.name] = counts.get(target.name, 0) + 1
            result.append(
                ChannelPrecondition(
                    id=f"channel-{target.name}-{counts[target.name]}",
                    label=rule.label,
                    name=target.name,
                    implied=target.property,
                    pattern=rule.pattern,
                    counts=self.study.support(rule.pattern, rule.label, self.study.domain.box),
                    confidence=rule.confidence,
                    near=self.near.get(k),
                )
            )
        return tuple(result)
