"""``run_whole_space``: for every class, patterns that imply it over the whole domain.

A class has its share of the budget; what it leaves goes to the classes after it.  The classes
are jobs of a pool, each with one thread wherever it runs, so that a class's answer does not
depend on how many are searched at once (only its share of time does).  With a ledger in the
pool every verdict is kept: the same run goes on where it was killed.
Patterns are searched for among the training inputs; held-out ones are counted at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from precond.basics.progress import Progress, Silent
from precond.data.datasets import Dataset
from precond.errors import QueryError
from precond.mine.whole_space.settings import Search
from precond.network.graph import INPUT, Network
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.precondition import Kind, Precondition
from precond.proof.restate.tail import Tail, tail_cuts
from precond.region.recording import Limit, record_in_time
from precond.region.signature import Signatures
from precond.study.analysis import DomainKind
from precond.study.goals import Target
from precond.study.study import Study
from precond.study.whole_space.one_class import ClassJob, ClassPatterns, forced_literals
from precond.study.whole_space.result import (
    ClassResult,
    Event,
    Forced,
    Rows,
    Share,
    WholeSpace,
)
from precond.workers.pool import InProcess, Pool

DEFAULT = Search()
WIDEST = 2048  # neurons of a layer that is cut at without being asked for


def default_cuts(network: Network) -> tuple[str, ...]:
    """Where to cut, in the order to try: the last decision layer but one, then those before
    it, the last one at the end; layers wider than ``WIDEST`` only where all are.  QueryError
    where there is none."""
    possible = tail_cuts(network)
    if not possible:
        raise QueryError(
            f"patterns of {network.origin}",
            expected="a ReLU layer that all later layers read the input through",
            got="none",
            fix="Patterns over a whole domain need a network that can be cut in two",
        )
    narrow = [name for name in possible if network.width(name) <= WIDEST] or list(possible)
    last = [name for name in narrow if name == network.decision_layers[-1]]
    return (*reversed([name for name in narrow if name not in last]), *last)


def record_values(
    network: Network,
    data: Dataset,
    cuts: Sequence[str] | None = None,
    device: str = "cpu",
) -> Signatures:
    """Decisions and pre-activations of every row at the earliest of ``cuts`` (default:
    ``default_cuts``) and at all decision layers after it; for a cut at ``INPUT`` the inputs
    too."""
    return values_in_time(network, data, cuts, device=device)[0]


def values_in_time(
    network: Network,
    data: Dataset,
    cuts: Sequence[str] | None = None,
    device: str = "cpu",
    until: Limit = FOREVER,
) -> tuple[Signatures, Rows]:
    """``record_values``, and the rows, which are not all where time is up before."""
    layers, chosen = network.decision_layers, tuple(cuts or default_cuts(network))
    whole = INPUT in chosen
    named = [layers.index(network.require_decisions(c)) for c in chosen if c != INPUT]
    first = 0 if whole else min(named)
    found, rows = record_in_time(
        network, data.inputs, layers[first:], until=until, values=True, device=device
    )
    if not whole:
        return found, rows
    flat = np.asarray(data.flat[rows], dtype=np.float64)
    return replace(found, pre_activations={**found.pre_activations, INPUT: flat}), rows


def run_whole_space(
    study: Study,
    search: Search = DEFAULT,
    *,
    cuts: Sequence[str] | None = None,
    pool: Pool | None = None,
    certificates: Path | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> WholeSpace:
    """Patterns for every target of the goal within ``search.budget`` seconds in ``pool``
    (default: this process, without a ledger).

    The study's signatures hold pre-activations (``record_values``).
    ``cuts``: layers to cut at, in the order they are tried for each class (``default_cuts``);
    a class stops at the first whose patterns have training recall ``search.enough``.  Ctrl-C ends
    it with the classes that are done.  ``certificates``: a folder that those of the whole network
    are kept in as they are made, and taken from after a kill.  ``note``: told what is going on,
    in words, where the work is done in this process.
    """
    if study.domain.kind is DomainKind.BALL:
        raise QueryError("patterns over a whole domain", expected="one box", got=str(study.domain))
    started, wall = time.monotonic(), time.time()
    order = tuple(cuts) if cuts else default_cuts(study.network)
    for cut in order:
        Tail(study.network, study.domain.box, cut)  # a cut that is none is said before any work
    notes = _outside(study)
    rows = {target.label: _sources(study, target) for target in _targets(study)}
    searched = [target for target in _targets(study) if len(rows[target.label])]
    for target in _targets(study):
        if target not in searched:
            notes.append(f"{target.name}: no training input of the domain has it")
    progress = progress or Silent()
    pool = pool or InProcess()
    say = note if isinstance(pool, InProcess) else None
    progress.stage("classes", len(searched))

    def job(target: Target, seconds: float) -> ClassJob:
        assert target.property is not None
        return ClassJob(
            study.network,
            study.domain.box,
            target.property,
            signatures=study.signatures.rows(rows[target.label]),
            cuts=order,
            search=search,
            seconds=seconds,
            certificates=certificates,
            note=None if say is None else _of(say, target),
        )

    done: dict[int, ClassPatterns] = {}
    interrupted = False

    def ended(index: int, result: ClassPatterns) -> None:
        done[searched[index].label] = result
        if note is not None and say is None:
            note(f"{searched[index].name}: done")
        progress.step()

    try:
        with _one_thread():
            pool.map(_jobs(searched, job=job, budget=search.budget, workers=pool.workers), ended)
    except KeyboardInterrupt:
        interrupted = True
    classes: list[ClassResult] = []
    events: list[Event] = []
    for target in searched:
        if target.label not in done:
            notes.append(f"{target.name}: the run ended before it was searched")
            continue
        result = done[target.label]
        if result.failed:
            notes.append(f"{target.name}: not searched, {result.failed}")
        classes.append(_result(study, target, rows[target.label], result=result))
        events += _events(target, inputs=len(rows[target.label]), result=result, start=wall)
    return WholeSpace(
        study,
        classes=tuple(classes),
        events=tuple(sorted(events, key=lambda e: e.seconds)),
        seconds=time.monotonic() - started,
        budget=search.budget,
        interrupted=interrupted,
        notes=tuple(notes),
    )


def _outside(study: Study) -> list[str]:
    outside = int((~study.within).sum())
    if not outside:
        return []
    return [
        f"{outside} of {len(study.data)} inputs lie outside the domain: no pattern is looked for "
        "among them and they count for no support"
    ]


def _targets(study: Study) -> list[Target]:
    return [target for target in study.goal.targets if target.property is not None]


def _sources(study: Study, target: Target) -> Rows:
    """The training inputs of the domain that have the target."""
    train = study.data.train
    return np.asarray(train[(study.carries(target.label) & study.within)[train]])


def _events(target: Target, inputs: int, result: ClassPatterns, start: float) -> Iterator[Event]:
    """When each pattern was proved, and how many of the class's ``inputs`` it added."""
    covered = np.zeros(inputs, dtype=np.bool_)
    for one, moment in zip(result.patterns, result.moments, strict=True):
        added = int((one.inside & ~covered).sum())
        covered |= one.inside
        yield Event(
            max(moment - start, 0.0), label=target.name, added=added, literals=len(one.pattern)
        )


def _result(study: Study, target: Target, rows: Rows, result: ClassPatterns) -> ClassResult:
    signatures, box = study.signatures, study.domain.box
    train, held = study.data.train, study.data.held_out
    entries: list[Precondition] = []
    forced: list[tuple[Forced, ...]] = []
    seen = signatures.rows(train)
    tail = Tail(study.network, box, result.cut)
    for number, one in enumerate(result.patterns, 1):
        entries.append(
            Precondition(
                f"space-{target.name}-{number}",
                kind=Kind.SPACE,
                label=target.name,
                property=target.property,
                pattern=one.pattern,
                support=study.support(one.pattern, target.label, box, recalled=box),
                verdict=one.verdict,
                proofs=one.proofs,
                note="proved of the whole network"
                if result.cut == INPUT
                else f"proved through the tail after {result.cut}",
            )
        )
        forced.append(
            forced_literals(tail, one.pattern, one.witnesses, signatures=seen, rows=train)
        )
    inside = np.zeros(len(signatures), dtype=np.bool_)
    for one in result.patterns:
        inside |= one.pattern.holds(signatures)
    own = study.carries(target.label) & study.within
    return ClassResult(
        target,
        result.cut,
        entries=tuple(entries),
        forced=tuple(forced),
        train=Share(int(inside[rows].sum()), len(rows)),
        held_out=Share(int((inside & own)[held].sum()), int(own[held].sum())),
        rounds=result.rounds,
        proofs=result.proofs,
        seconds=result.seconds,
        cuts=result.cuts,
    )


def _jobs(
    targets: Sequence[Target],
    job: Callable[[Target, float], ClassJob],
    budget: float,
    workers: int,
) -> Iterator[ClassJob]:
    """A job for each target; as many rounds of ``workers`` classes as are left share the time
    that is left when it is drawn."""
    end = Deadline.after(budget)
    for turn, target in enumerate(targets):
        rounds = -(-(len(targets) - turn) // workers)
        yield job(target, end.left / rounds)


def _of(say: Callable[[str], None], target: Target) -> Callable[[str], None]:
    return lambda text: say(f"{target.name}: {text}")


@contextmanager
def _one_thread() -> Iterator[None]:
    """As the workers compute, so that sums are rounded alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
