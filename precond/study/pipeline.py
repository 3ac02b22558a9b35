"""``analyze``: from a network and data to an ``Analysis``: mine, relax, prove, box, count.

The budget is shared out: at most 0.3 of it for mining layer rules (a layer once begun is
finished), 0.1 for rules over channels and 0.1 for proving those (of convolutional networks alone),
0.2 for proving layer rules near data, 0.25 for rules that hold for every input, all together
at most half; up to 0.75 and at least 0.5 for input preconditions; the rest for the layer rules'
claims over the whole domain, most supported first.  Every verdict is in the ledger before it is
counted, so a run that was interrupted loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.basics.progress import Progress, Silent
from precond.mine.layer_rules.learn import LayerRule
from precond.mine.support import curve
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.near_data import NearData
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status, Verdict
from precond.region.radius import Radius
from precond.study.analysis import Analysis, CurvePoint
from precond.study.channel_search import ChannelSearch
from precond.study.everywhere_search import EverywhereSearch
from precond.study.input_search import InputSearch
from precond.study.near_search import NearSearch
from precond.study.options import Options
from precond.study.rule_search import RuleSearch
from precond.study.study import Study, Work
from precond.workers.pool import Pool, ProofJob

INPUTS = 0.5  # of the budget, that is kept for input preconditions
EVERYWHERE = 0.25  # of the budget, for layer rules that hold for every input
CHANNELS = 0.1  # of the budget, for mining channel rules, and as much for proving them
NEAR = 0.2  # of the budget, for layer rules near data

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
    run = _AnalysisRun(Work(study, options, pool, progress=progress or Silent()))
    started = time.monotonic()
    interrupted = False
    try:
        run.look()
        run.mine(layers)
        run.mine_channels(layers)
        run.near_data()
        run.prove_channels()
        run.everywhere()
        run.relax()
        run.prove_rules()
    except KeyboardInterrupt:
        interrupted = True
        run.cut_short = "interrupted"
    analysis = study.analysis(
        tuple(run.finished()),
        model=Path(study.network.origin),
        curve=run.curve(),
        seconds=time.monotonic() - started,
        budget=options.budget,
        interrupted=interrupted,
        notes=tuple(run.notes),
    )
    return replace(analysis, channels=run.channels.result())


class _AnalysisRun:
    def __init__(self, work: Work) -> None:
        self.work, self.study = work, work.study
        self.deadline = Deadline.after(work.options.budget)
        self.before_inputs = Deadline(self.deadline.at - INPUTS * work.options.budget)
        self.rules: tuple[LayerRule, ...] = ()
        self.sure: list[tuple[LayerRule, Verdict]] = []
        self.near: dict[int, NearData] = {}
        self.near_radius: Radius | None = None
        self.verdicts: dict[int, Verdict] = {}
        self.inputs: list[Precondition] = []
        self.channels = ChannelSearch(self.work)
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

    def mine(self, layers: Sequence[str] | None) -> None:
        search = RuleSearch(self.work, self.before_inputs)
        try:
            search.run(layers)
        finally:
            self.rules = search.rules
            self.notes += search.notes

    def mine_channels(self, layers: Sequence[str] | None) -> None:
        """Rules over the channels of convolutional layers."""
        limit = self.before_inputs.earlier(CHANNELS * self.work.options.budget)
        try:
            self.channels.mine(layers, limit)
        finally:
            self.notes += self.channels.notes

    def prove_channels(self) -> None:
        """Channel rules around the inputs that support them, in the balls of the layer rules."""
        limit = self.before_inputs.earlier(CHANNELS * self.work.options.budget)
        self.channels.prove(limit, self.near_radius)

    def near_data(self) -> None:
        """Layer rules around the inputs that support them."""
        limit = self.before_inputs.earlier(NEAR * self.work.options.budget)
        search = NearSearch(self.work, self.rules, limit)
        try:
            search.run()
        finally:
            self.rules, self.near = search.rules, search.near
            self.near_radius = search.radius or self.work.options.support_radius
            self.notes += search.notes

    def everywhere(self) -> None:
        """Layer rules that hold for every input of the domain."""
        search = EverywhereSearch(
            self.work, self.before_inputs.earlier(EVERYWHERE * self.work.options.budget)
        )
        try:
            search.run()
        finally:
            self.sure = search.rules
            self.notes += search.notes

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
                    Claim(
                        self.study.network, self.study.domain.box, rule.pattern, property=property
                    ),
                    budget=min(self.work.options.each, max(0.5, share)),
                    points=self.study.data.flat[inside],
                    device=self.work.options.device,
                    seed=self.work.options.seed,
                )

        def done(index: int, verdict: Verdict) -> None:
            self.verdicts[todo[index]] = verdict
            self.work.progress.step()

        self.work.pool.map(jobs(), done)

    def relax(self) -> None:
        """Input preconditions, until three quarters of the budget are spent, and with at least
        half of it if layer rules left as much."""
        begun, budget = time.monotonic(), self.work.options.budget
        until = max(self.deadline.at - 0.25 * budget, begun + INPUTS * budget)
        search = InputSearch(self.work, self.deadline.earlier(until - begun))
        try:
            search.run()
        finally:
            self.inputs = search.inputs
            self.notes += search.notes

    # -- results -----------------------------------------------------------------------

    def curve(self) -> tuple[CurvePoint, ...]:
        """Precision and recall of the layer rules on held-out data."""
        rules = (*self.rules, *(rule for rule, _ in self.sure))
        if not rules:
            return ()
        study = self.study
        return curve(rules, study.goal.labels, study.signatures, held_out=study.data.held_out)

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
                kind=Kind.LAYER,
                label=target.name,
                property=target.property,
                pattern=rule.pattern,
                support=self.study.support(rule.pattern, rule.label, self.study.domain.box),
                verdict=self.verdicts.get(k, Verdict(Status.EMPIRICAL, reason=reason)),
                near=self.near.get(k),
            )
        for rule, verdict in self.sure:
            target = names[rule.label]
            name = f"value-{target.name}"
            counts[name] = counts.get(name, 0) + 1
            yield Precondition(
                f"{name}-{counts[name]}",
                Kind.LAYER,
                target.name,
                property=target.property,
                pattern=rule.pattern,
                support=self.study.support(rule.pattern, rule.label, self.study.domain.box),
                verdict=verdict,
            )
        yield from self.inputs
