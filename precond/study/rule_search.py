"""Layer rules of a run, layer after layer, with at most 0.3 of the budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from precond.mine.layer_rules.learn import LayerRule, constant_layers, layer_preconditions
from precond.mine.layer_rules.probes import Probes, mixed_inputs
from precond.proof.deadline import Deadline
from precond.region.recording import record
from precond.study.study import Work

WIDEST = 2048  # neurons of a layer that is mined without being asked for
PROBES = 8000
PROBING = 0.5  # of the time for layer rules, for running the probes through the network


class RuleSearch:
    """Fills ``rules`` and ``notes``."""

    def __init__(self, work: Work, deadline: Deadline) -> None:
        self.work, self.study, self.deadline = work, work.study, deadline
        self.rules: tuple[LayerRule, ...] = ()
        self.notes: list[str] = []

    def run(self, layers: Sequence[str] | None) -> None:
        """Learn rules layer after layer."""
        options, train = self.work.options, self.study.data.train
        self.work.progress.stage("layer rules", 1)
        chosen = self._layers(layers)
        seen = self.study.signatures.rows(train)
        labels = self.study.goal.labels[train]
        wanted = [t.label for t in self.study.goal.targets if (labels == t.label).any()]
        if len(np.unique(labels)) < 2:
            self.notes.append("all training inputs carry one label: there are no layer rules")
            return
        if not chosen or not wanted:
            return
        limit = self.deadline.earlier(0.3 * options.budget)
        probes = self._probes(chosen, limit.earlier(PROBING * limit.left))
        found: list[LayerRule] = []
        for position, layer in enumerate(chosen):
            if limit.passed:
                self.notes.append(f"time ran out before {', '.join(chosen[position:])} was mined")
                break
            found += layer_preconditions(
                seen,
                labels,
                [layer],
                minimum_precision=options.minimum_precision,
                minimum_support=options.least_support(len(train)),
                values=options.values,
                classes=wanted,
                probes=probes,
                trees=40 if sum(self.study.network.width(n) for n in chosen) <= 512 else 12,
                seed=options.seed,
                deadline=limit,
            )
            if limit.passed:
                self.notes.append(f"time ran out while {layer} was mined: it may have more rules")
        self.rules = tuple(sorted(found, key=lambda rule: -rule.support))
        ruled = {rule.label for rule in found}
        without = [t.name for t in self.study.goal.targets if t.label in set(wanted) - ruled]
        if without:
            self.notes.append(
                f"no layer rule reaches the precision and support asked for: {', '.join(without)}"
            )
        self.work.progress.step()

    def _layers(self, layers: Sequence[str] | None) -> list[str]:
        """The layers to mine: those asked for, else all of moderate width."""
        names = list(layers or self.study.network.decision_layers)
        wide = [name for name in names if self.study.network.width(name) > WIDEST]
        if wide and layers is None:
            self.notes.append(
                f"layers wider than {WIDEST} neurons were not mined: {', '.join(wide)} "
                "(name one with --layer)"
            )
            names = [name for name in names if name not in wide]
        constant = constant_layers(
            self.study.signatures.rows(self.study.data.train),
            names,
            values=self.work.options.values,
        )
        if constant:
            self.notes.append(
                f"no neuron changes over the training inputs in {', '.join(constant)}"
            )
        return [name for name in names if name not in constant]

    def _probes(self, layers: Sequence[str], limit: Deadline) -> Probes | None:
        """Mixes of training inputs, labelled by the network, that rules must not fail on."""
        if self.study.goal.relabel is None:
            return None
        data = self.study.data
        mixed = mixed_inputs(data.flat[data.train], PROBES, self.work.options.seed)
        recorded = record(
            self.study.network,
            mixed,
            layers,
            values=self.work.options.values,
            device=self.work.options.device,
            until=limit,
        )
        if len(recorded) < PROBES:
            self.notes.append(
                f"time ran out after {len(recorded)} of {PROBES} mixed inputs were run through the "
                "network: rules are checked against these"
            )
        return Probes(recorded, self.study.goal.relabel(recorded))
