"""Input preconditions for every class of a run, class after class so that time is shared evenly.

Searches run as jobs of a pool.  Results are taken in the order the jobs were drawn, so that
numbering does not depend on which worker was quicker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from precond.basics.counting import how_many
from precond.data.dataset import class_name
from precond.errors import QueryError
from precond.mine.boxes.largest_box import underapproximation_box
from precond.mine.input_preconditions.by_units import wide
from precond.mine.input_preconditions.job import RelaxJob
from precond.mine.input_preconditions.relax import InputPrecondition, surest
from precond.network.graph import Network
from precond.proof.deadline import Deadline
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.study.analysis import DomainKind
from precond.study.goals import Target
from precond.study.study import Work


class InputSearch:
    """Fills ``inputs`` and ``notes``; what was found stays when it is interrupted."""

    def __init__(self, work: Work, deadline: Deadline) -> None:
        self.work, self.study = work, work.study
        self.deadline = deadline
        self.targets = [target for target in work.study.goal.targets if target.property is not None]
        self.found: dict[Target, list[DecisionPattern]] = {t: [] for t in self.targets}
        self.tried: dict[Target, Counter[Status]] = {t: Counter() for t in self.targets}
        self.drawn: list[tuple[Target, int, Box]] = []
        self.shares: list[float] = []
        self.waiting: dict[int, InputPrecondition] = {}
        self.taken = 0
        self.least = 0.0  # seconds for an input, without which there is no proof
        self.inputs: list[Precondition] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Search until every class has enough, no input is left, or time has passed."""
        self.work.progress.stage(
            "input preconditions", len(self.targets) * self.work.options.per_class
        )
        self.work.pool.map(self._jobs(), self._done)
        if wide(self.study.network):
            self.inputs[:] = [replace(entry, box=self._box_of(entry)) for entry in self.inputs]
        self._explain_shortfall()

    def _jobs(self) -> Iterator[RelaxJob]:
        sources = {target: self._sources(target) for target in self.targets}
        while sources and not self.deadline.passed:
            waiting = list(sources)
            for turn, target in enumerate(waiting):
                row = next(sources[target], None)
                if row is None or self.deadline.passed or self._enough(target):
                    sources.pop(target)
                    continue
                if self._explained(row, self.found[target]):
                    continue
                assert target.property is not None
                box = self.study.domain.around(self.study.data.flat[row])
                self.drawn.append((target, row, box))
                self.shares.append(self._share(len(waiting) - turn))
                yield RelaxJob(
                    network=self.study.network,
                    point=self.study.data.flat[row],
                    property=target.property,
                    domain=box,
                    order=self.work.options.order,
                    budget=self.shares[-1],
                    each=self.work.options.each,
                    device=self.work.options.device,
                )
                if self._enough(target):
                    sources.pop(target, None)

    def _share(self, classes: int) -> float:
        """Seconds for the next input, where as many ``classes`` have their turn before all have
        had one: of a wide signature, which is never weighed to the end, for all inputs wanted."""
        waiting = classes
        if wide(self.study.network):
            wanted = len(self.targets) * self.work.options.per_class
            begun = len(self.drawn) - self.taken - 1
            waiting = max(1, wanted - len(self.inputs) - begun)
        share = self.deadline.left * self.work.pool.workers / waiting
        return max(share, min(self.least, self.deadline.left))

    def _enough(self, target: Target) -> bool:
        return len(self.found[target]) >= self.work.options.per_class

    def _done(self, index: int, result: InputPrecondition) -> None:
        self.waiting[index] = result
        while self.taken in self.waiting:
            result = self.waiting.pop(self.taken)
            if result.out_of_time:
                self.least = max(self.least, 2 * self.shares[self.taken])
            elif result.pattern is not None:
                self.least = result.essential
            self._take(*self.drawn[self.taken], result)
            self.taken += 1

    def _take(self, target: Target, row: int, box: Box, result: InputPrecondition) -> None:
        self.tried[target][result.verdict.status] += 1
        patterns = self.found[target]
        if result.pattern is None or self._enough(target) or self._explained(row, patterns):
            return
        assert target.property is not None
        patterns.append(result.pattern)
        self.inputs.append(
            Precondition(
                f"input-{target.name}-{len(patterns)}",
                kind=Kind.INPUT,
                label=target.name,
                property=target.property,
                pattern=result.pattern,
                support=self.study.support(result.pattern, target.label, box),
                verdict=result.verdict,
                box=None if wide(self.study.network) else self._box(result.pattern, row),
                domain=None if self.study.domain.kind is not DomainKind.BALL else box,
                source=int(row),
                proofs=result.proofs,
                note=_note(result, self.study.network),
            )
        )
        self.work.progress.step()

    def _explained(self, row: int, patterns: Sequence[DecisionPattern]) -> bool:
        """Whether an earlier pattern over the same domain holds for the input already."""
        if self.study.domain.kind is DomainKind.BALL:
            return False
        here = self.study.signatures.rows(np.array([row]))
        return any(bool(pattern.holds(here)[0]) for pattern in patterns)

    def _sources(self, target: Target) -> Iterator[int]:
        """Training inputs to start from: rightly predicted where truth is known, surest first."""
        train = self.study.data.train[
            self.study.domain.box.contains(self.study.data.flat[self.study.data.train])
        ]
        if self.study.goal.kind.by_class:
            truth = None if self.study.data.labels is None else self.study.data.labels[train]
            y = np.asarray(self.study.signatures.outputs[train])
            rows: NDArray[np.int64] = surest(self.study.network, y, target.label, labels=truth)
            return iter(train[rows])
        return iter(train[self.study.goal.labels[train] == target.label])

    def _box_of(self, entry: Precondition) -> Box | None:
        """Of a wide signature, once no search needs the time."""
        if self.deadline.passed or entry.source is None:
            return None
        return self._box(entry.pattern, entry.source)

    def _box(self, pattern: DecisionPattern, row: int) -> Box | None:
        if not pattern.is_closed(self.study.network):
            return None
        try:
            return underapproximation_box(
                self.study.network,
                pattern,
                point=self.study.data.flat[row],
                domain=self.study.domain.around(self.study.data.flat[row]),
                deadline=self.deadline,
            )
        except QueryError as error:
            self.notes.append(f"input {row}: no box ({error})")
            return None

    def _explain_shortfall(self) -> None:
        """Notes on classes that have fewer than were asked for, and why."""
        short: dict[str, list[str]] = {}
        for target in self.targets:
            if not self._enough(target):
                tried = self.tried[target]
                text = (
                    f"{how_many(len(self.found[target]), 'input precondition')} from "
                    f"{how_many(tried.total(), 'input')} tried{self._why(tried)}"
                )
                short.setdefault(text, []).append(self._class(target.name))
        self.notes += [f"of {', '.join(names)}: {text}" for text, names in short.items()]

    def _class(self, name: str) -> str:
        shown = class_name(name, self.study.data.classes)
        return f"class {shown}" if name.isdecimal() else name

    def _why(self, statuses: Counter[Status]) -> str:
        """What the prover said of the inputs tried."""
        said = [
            f"{how_many(statuses[status], 'full signature')} {words}"
            for status, words in (
                (Status.REFUTED, "refuted in this domain"),
                (Status.VACUOUS, "without an input in this domain"),
                (Status.UNKNOWN, "not decided"),
            )
            if statuses[status]
        ]
        if self.deadline.passed:
            said.append("time ran out")
        if statuses[Status.REFUTED]:
            said.append("a smaller domain may help")
        return "".join(f"; {text}" for text in said)


def _note(result: InputPrecondition, network: Network) -> str:
    """What a reader should know: a whole signature is a failure of the search, and why."""
    reason = result.unfinished
    if result.pattern is None or len(result.pattern) < network.neurons:
        return reason
    return (
        f"the search failed: it dropped none of {network.neurons} literals ("
        + (reason or "each is needed in this domain; a smaller one may need fewer")
        + ")"
    )
