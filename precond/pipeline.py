"""``analyze``: from a network and data to an ``Analysis``: mine, relax, prove, box, count.

The budget is shared out: at most 0.3 of it for mining layer rules (a layer once begun is
finished), up to 0.75 for input preconditions, which prove most, the rest for the layer rules'
claims, most supported first.  Every verdict is in the ledger before it is counted, so a run
that was interrupted loses nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.analysis import Analysis, Data, Domain, DomainKind
from precond.errors import DataError, QueryError
from precond.goals import Goal, Target
from precond.mine.input import Order, candidates, input_precondition
from precond.mine.layer import LayerRule, constant_layers, layer_preconditions
from precond.mine.probes import Probes, mixed_inputs
from precond.mine.support import curve, wilson
from precond.mine.underapprox import underapproximation_box
from precond.network.graph import Network
from precond.progress import Progress, Silent
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger import Ledger
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures, record

WIDEST = 2048  # neurons of a layer that is mined without being asked for
PROBES = 8000

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Options:
    """Settings of a run.

    ``budget``: seconds in all.  ``each``: seconds for one proof.  ``per_class``: input
    preconditions wanted for each label.  ``minimum_precision``/``minimum_support``: of layer
    rules on training data.  ``values``: mine value thresholds beside decisions.
    """

    budget: float = 120.0
    each: float = 5.0
    per_class: int = 5
    minimum_precision: float = 1.0
    minimum_support: int = 10
    values: bool = False
    order: Order = Order.MAGNITUDE
    device: str = "cpu"
    seed: int = 0


def analyze(
    model: Path,
    network: Network,
    data: Data,
    domain: Domain,
    signatures: Signatures,
    goal: Goal,
    options: Options,
    ledger: Ledger,
    *,
    layers: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Run all parts within ``options.budget``.  Ctrl-C ends it early with what is done.

    ``signatures`` covers all rows of ``data.inputs``, over all decision layers.
    """
    run = _Run(network, data, domain, signatures, goal, options, ledger, progress or Silent())
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
    return Analysis(
        model,
        network,
        data,
        domain,
        goal.text,
        signatures,
        tuple(run.finished()),
        curve(run.rules, goal.labels, signatures, data.held_out) if run.rules else (),
        time.monotonic() - started,
        options.budget,
        interrupted,
        tuple(run.notes),
    )


class _Run:
    def __init__(
        self,
        network: Network,
        data: Data,
        domain: Domain,
        signatures: Signatures,
        goal: Goal,
        options: Options,
        ledger: Ledger,
        progress: Progress,
    ) -> None:
        self.network = network
        self.data = data
        self.domain = domain
        self.signatures = signatures
        self.goal = goal
        self.options = options
        self.ledger = ledger
        self.progress = progress
        self.deadline = Deadline.after(options.budget)
        self.rules: tuple[LayerRule, ...] = ()
        self.verdicts: dict[int, Verdict] = {}
        self.inputs: list[Precondition] = []
        self.notes: list[str] = []
        self.cut_short = "budget spent"
        self.flat = np.asarray(data.inputs).reshape(len(data.inputs), -1)

    def look(self) -> None:
        """Which inputs the claims speak about."""
        self.in_domain = self.domain.box.contains(self.flat)
        outside = int((~self.in_domain).sum())
        if outside:
            self.notes.append(
                f"{outside} of {len(self.flat)} inputs lie outside the domain: they are no "
                "source of input preconditions and count for no support"
            )

    # -- layer rules -------------------------------------------------------------------

    def mine(self, layers: Sequence[str] | None) -> None:
        options, train = self.options, self.data.train
        self.progress.stage("layer rules", 1)
        chosen = self._layers(layers)
        seen = self.signatures.rows(train)
        labels = self.goal.labels[train]
        wanted = [t.label for t in self.goal.targets if (labels == t.label).any()]
        if len(np.unique(labels)) < 2:
            self.notes.append("all training inputs carry one label: there are no layer rules")
            return
        if not chosen or not wanted:
            return
        limit = self.deadline.earlier(0.3 * options.budget)
        probes = self._probes(chosen)
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
                minimum_support=options.minimum_support,
                values=options.values,
                classes=wanted,
                probes=probes,
                trees=40 if sum(self.network.width(n) for n in chosen) <= 512 else 12,
                seed=options.seed,
            )
        self.rules = tuple(sorted(found, key=lambda rule: -rule.support))
        for target in self.goal.targets:
            if target.label in wanted and not any(r.label == target.label for r in found):
                self.notes.append(
                    f"{target.name}: no layer rule reaches the precision and support asked for"
                )
        self.progress.step()

    def _layers(self, layers: Sequence[str] | None) -> list[str]:
        """The layers to mine: those asked for, else all of moderate width."""
        names = list(layers or self.network.decision_layers)
        wide = [name for name in names if self.network.width(name) > WIDEST]
        if wide and layers is None:
            self.notes.append(
                f"layers wider than {WIDEST} neurons were not mined: {', '.join(wide)} "
                "(name one with --layer)"
            )
            names = [name for name in names if name not in wide]
        constant = constant_layers(
            self.signatures.rows(self.data.train), names, values=self.options.values
        )
        if constant:
            self.notes.append(
                f"no neuron changes over the training inputs in {', '.join(constant)}"
            )
        return [name for name in names if name not in constant]

    def _probes(self, layers: Sequence[str]) -> Probes | None:
        """Mixes of training inputs, labelled by the network, that rules must not fail on."""
        if self.goal.relabel is None:
            return None
        mixed = mixed_inputs(self.flat[self.data.train], PROBES, self.options.seed)
        recorded = record(
            self.network,
            mixed,
            layers,
            values=self.options.values,
            device=self.options.device,
        )
        return Probes(recorded, self.goal.relabel(recorded))

    def prove_rules(self) -> None:
        properties = {target.label: target.property for target in self.goal.targets}
        todo = [k for k, rule in enumerate(self.rules) if properties[rule.label] is not None]
        self.progress.stage("proofs of layer rules", len(todo))
        for done, k in enumerate(todo):
            if self.deadline.passed:
                return
            rule = self.rules[k]
            property = properties[rule.label]
            assert property is not None
            inside = np.flatnonzero(rule.pattern.holds(self.signatures))[:64]
            share = max(0.5, self.deadline.left / (len(todo) - done))
            self.verdicts[k] = prove(
                Claim(self.network, self.domain.box, rule.pattern, property),
                budget=min(self.options.each, share),
                points=self.flat[inside],
                ledger=self.ledger,
                device=self.options.device,
                seed=self.options.seed,
            )
            self.progress.step()

    # -- input preconditions -----------------------------------------------------------

    def relax(self) -> None:
        """Input preconditions for every class in turn, so that time is shared evenly."""
        targets = [t for t in self.goal.targets if t.property is not None]
        self.progress.stage("input preconditions", len(targets) * self.options.per_class)
        deadline = Deadline(self.deadline.at - 0.25 * self.options.budget)
        sources = {target: self._sources(target) for target in targets}
        found: dict[Target, list[DecisionPattern]] = {target: [] for target in targets}
        tried: dict[Target, Counter[Status]] = {target: Counter() for target in targets}
        while sources and not deadline.passed:
            waiting = list(sources)
            for turn, target in enumerate(waiting):
                share = Deadline.after(deadline.left / (len(waiting) - turn))
                row = next(sources[target], None)
                if row is None or deadline.passed:
                    sources.pop(target)
                    continue
                if self._explained(row, found[target]):
                    continue
                entry, status = self._relax_row(target, row, len(found[target]) + 1, share)
                tried[target][status] += 1
                if entry is not None:
                    found[target].append(entry.pattern)
                    self.inputs.append(entry)
                    self.progress.step()
                if len(found[target]) >= self.options.per_class:
                    sources.pop(target)
        short: dict[str, list[str]] = {}
        for target in targets:
            if len(found[target]) < self.options.per_class:
                text = (
                    f"{len(found[target])} input preconditions from "
                    f"{tried[target].total()} inputs tried{self._why(deadline, tried[target])}"
                )
                short.setdefault(text, []).append(target.name)
        self.notes += [f"{', '.join(names)}: {text}" for text, names in short.items()]

    def _why(self, deadline: Deadline, tried: Counter[Status]) -> str:
        """Why a class has fewer than were asked for, from what the prover said."""
        said = [
            f"{tried[status]} full signatures {words}"
            for status, words in (
                (Status.REFUTED, "do not imply it in this domain"),
                (Status.VACUOUS, "hold nowhere in this domain"),
                (Status.UNKNOWN, "were not decided"),
            )
            if tried[status]
        ]
        if deadline.passed:
            said.append("time ran out")
        if tried[Status.REFUTED]:
            said.append("a smaller domain may help")
        return "".join(f"; {text}" for text in said)

    def _explained(self, row: int, patterns: Sequence[DecisionPattern]) -> bool:
        """Whether an earlier pattern over the same domain holds for the input already."""
        if self.domain.kind is DomainKind.BALL:
            return False
        here = self.signatures.rows(np.array([row]))
        return any(bool(pattern.holds(here)[0]) for pattern in patterns)

    def _relax_row(
        self, target: Target, row: int, number: int, deadline: Deadline
    ) -> tuple[Precondition | None, Status]:
        assert target.property is not None
        box = self.domain.around(self.flat[row])
        result = input_precondition(
            self.network,
            self.flat[row],
            target.property,
            box,
            order=self.options.order,
            budget=deadline.left,
            each=self.options.each,
            ledger=self.ledger,
            device=self.options.device,
        )
        if result.pattern is None:
            return None, result.verdict.status
        entry = Precondition(
            f"input-{target.name}-{number}",
            Kind.INPUT,
            target.name,
            target.property,
            result.pattern,
            self._support(result.pattern, target.label, box),
            result.verdict,
            self._box(result.pattern, row),
            None if self.domain.kind is not DomainKind.BALL else box,
            int(row),
            result.proofs,
            "" if result.minimal else "time ran out before every drop was tried",
        )
        return entry, result.verdict.status

    def _sources(self, target: Target) -> Iterator[int]:
        """Training inputs to start from: rightly predicted where truth is known, surest first."""
        train = self.data.train[self.in_domain[self.data.train]]
        if self.goal.by_class:
            truth = None if self.data.labels is None else self.data.labels[train]
            rows = candidates(self.network, self.flat[train], target.label, labels=truth)
            return iter(train[rows])
        return iter(train[self.goal.labels[train] == target.label])

    def _support(self, pattern: DecisionPattern, label: int, box: Box) -> Support:
        """Support among the inputs the claim is about: those in its box."""
        inside = pattern.holds(self.signatures) & box.contains(self.flat)
        carries = self.goal.labels == label
        held, train = inside[self.data.held_out], inside[self.data.train]
        hits = int((held & carries[self.data.held_out]).sum())
        total = int(carries[self.data.held_out].sum())
        covered = int(held.sum())
        return Support(
            int(train.sum()),
            covered,
            hits / covered if covered else None,
            hits / total if total else None,
            wilson(hits, covered) if covered else None,
            wilson(hits, total) if total else None,
            float(carries[self.data.train][train].mean()) if train.any() else None,
        )

    def _box(self, pattern: DecisionPattern, row: int) -> Box | None:
        if not pattern.is_closed(self.network):
            return None
        try:
            return underapproximation_box(
                self.network, pattern, self.flat[row], self.domain.around(self.flat[row])
            )
        except QueryError as error:
            self.notes.append(f"input {row}: no box ({error})")
            return None

    # -- results -----------------------------------------------------------------------

    def finished(self) -> Iterator[Precondition]:
        """Every precondition, with EMPIRICAL where no proof was asked for or reached."""
        names = {target.label: target for target in self.goal.targets}
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
                self._support(rule.pattern, rule.label, self.domain.box),
                self.verdicts.get(k, Verdict(Status.EMPIRICAL, reason=reason)),
            )
        yield from self.inputs


def record_all(network: Network, data: Data, options: Options) -> Signatures:
    """Signatures of every row over every decision layer, values where rules need them."""
    if not network.decision_layers:
        raise DataError(
            f"network {network.origin}",
            expected="at least one ReLU layer",
            got="none",
            fix="precond explains networks by which ReLU neurons are on",
        )
    return record(network, data.inputs, values=options.values, device=options.device)
