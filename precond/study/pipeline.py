"""``analyze``: from a network and data to an ``Analysis``: mine, relax, prove, box, count.

The budget is shared out: at most 0.3 of it for mining layer rules (a layer once begun is
finished), up to 0.75 for input preconditions, which prove most, the rest for the layer rules'
claims, most supported first.  Every verdict is in the ledger before it is counted, so a run
that was interrupted loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.basics.progress import Progress, Silent
from precond.data.datasets import Dataset
from precond.errors import DataError
from precond.mine.layer_rules.learn import LayerRule, constant_layers, layer_preconditions
from precond.mine.layer_rules.probes import Probes, mixed_inputs
from precond.mine.support import curve
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status, Verdict
from precond.region.recording import Limit, record, record_in_time
from precond.region.signature import Signatures
from precond.study.analysis import Analysis, CurvePoint
from precond.study.input_search import InputSearch
from precond.study.options import Options
from precond.study.study import Study, Work
from precond.workers.pool import Pool, ProofJob

WIDEST = 2048  # neurons of a layer that is mined without being asked for
PROBES = 8000
PROBING = 0.5  # of the time for layer rules, for running the probes through the network

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def analyze(
    study: Study,
    options: Options,
    pool: Pool,
    *,
    layers: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Run all parts within ``options.budget``.  Ctrl-C ends it early with what is done.

    The study's signatures cover all decision layers.  ``layers``: those to mine (default: all of
    moderate width).
    """
    run = _AnalysisRun(Work(study, options, pool, progress or Silent()))
    started = time.monotonic()
    interrupted = False
    try:
        run.look()
        run.mine(layers)
        run.relax()
        run.prove_rules()
    except KeyboardInterrupt:
        interrupted = True
        run.cut_short = "interrupted"
    return study.analysis(
        tuple(run.finished()),
        model=Path(study.network.origin),
        curve=run.curve(),
        seconds=time.monotonic() - started,
        budget=options.budget,
        interrupted=interrupted,
        notes=tuple(run.notes),
    )


class _AnalysisRun:
    def __init__(self, work: Work) -> None:
        self.work, self.study = work, work.study
        self.deadline = Deadline.after(work.options.budget)
        self.rules: tuple[LayerRule, ...] = ()
        self.verdicts: dict[int, Verdict] = {}
        self.inputs: list[Precondition] = []
        self.notes: list[str] = []
        self.cut_short = "budget spent"

    def look(self) -> None:
        """Which inputs the claims speak about."""
        outside = int((~self.study.within).sum())
        if outside:
            self.notes.append(
                f"{outside} of {len(self.study.data)} inputs lie outside the domain: they are no "
                "source of input preconditions and count for no support"
            )

    # -- layer rules -------------------------------------------------------------------

    def mine(self, layers: Sequence[str] | None) -> None:
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
        for target in self.study.goal.targets:
            if target.label in wanted and not any(r.label == target.label for r in found):
                self.notes.append(
                    f"{target.name}: no layer rule reaches the precision and support asked for"
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

    def prove_rules(self) -> None:
        properties = {target.label: target.property for target in self.study.goal.targets}
        todo = [k for k, rule in enumerate(self.rules) if properties[rule.label] is not None]
        self.work.progress.stage("proofs of layer rules", len(todo))

        def jobs() -> Iterator[ProofJob]:
            for begun, k in enumerate(todo):
                if self.deadline.passed:
                    return
                rule = self.rules[k]
                property = properties[rule.label]
                assert property is not None
                inside = np.flatnonzero(rule.pattern.holds(self.study.signatures))[:64]
                share = self.deadline.left * self.work.pool.workers / (len(todo) - begun)
                yield ProofJob(
                    Claim(self.study.network, self.study.domain.box, rule.pattern, property),
                    min(self.work.options.each, max(0.5, share)),
                    self.study.data.flat[inside],
                    self.work.options.device,
                    self.work.options.seed,
                )

        def done(index: int, verdict: Verdict) -> None:
            self.verdicts[todo[index]] = verdict
            self.work.progress.step()

        self.work.pool.map(jobs(), done)

    def relax(self) -> None:
        """Input preconditions, with at most three quarters of the budget."""
        search = InputSearch(
            self.work, Deadline(self.deadline.at - 0.25 * self.work.options.budget)
        )
        try:
            search.run()
        finally:
            self.inputs = search.inputs
            self.notes += search.notes

    # -- results -----------------------------------------------------------------------

    def curve(self) -> tuple[CurvePoint, ...]:
        """Precision and recall of the layer rules on held-out data."""
        if not self.rules:
            return ()
        study = self.study
        return curve(self.rules, study.goal.labels, study.signatures, study.data.held_out)

    def finished(self) -> Iterator[Precondition]:
        """Every precondition, with EMPIRICAL where no proof was asked for or reached."""
        names = {target.label: target for target in self.study.goal.targets}
        counts: dict[str, int] = {}
        for k, rule in enumerate(self.rules):
            target = names[rule.label]
            counts[target.name] = counts.get(target.name, 0) + 1
            reason = "nothing to prove" if target.property is None else self.cut_short
            yield Precondition(
                f"layer-{target.name}-{counts[target.name]}",
                Kind.LAYER,
                target.name,
                target.property,
                rule.pattern,
                self.study.support(rule.pattern, rule.label, self.study.domain.box),
                self.verdicts.get(k, Verdict(Status.EMPIRICAL, reason=reason)),
            )
        yield from self.inputs


def record_all(
    network: Network, data: Dataset, options: Options, until: Limit = FOREVER
) -> tuple[Signatures, Rows]:
    """Signatures of every row over every decision layer, values where rules need them; and the
    rows, which are not all where time is up before."""
    if not network.decision_layers:
        raise DataError(
            f"network {network.origin}",
            expected="at least one ReLU layer",
            got="none",
            fix="precond explains networks by which ReLU neurons are on",
        )
    return record_in_time(
        network, data.inputs, until=until, values=options.values, device=options.device
    )
