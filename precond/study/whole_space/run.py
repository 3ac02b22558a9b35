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
from precond.errors import QueryError
from precond.mine.whole_space.search import Search
from precond.network.graph import INPUT, Network
from precond.proof.deadline import Deadline
from precond.proof.precondition import Kind, Precondition
from precond.proof.restate.tail import Tail, tail_cuts
from precond.region.signature import Signatures, record
from precond.study.analysis import Data, Domain, DomainKind
from precond.study.counts import support_of
from precond.study.goals import Goal, Target
from precond.study.whole_space.one_class import ENOUGH, ClassFound, ClassJob, forced_literals
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
    network: Network, data: Data, cuts: Sequence[str] | None = None, device: str = "cpu"
) -> Signatures:
    """Decisions and pre-activations of every row at the earliest of ``cuts`` (default:
    ``default_cuts``) and at all decision layers after it; for a cut at ``INPUT`` the inputs
    too."""
    layers, chosen = network.decision_layers, tuple(cuts or default_cuts(network))
    whole = INPUT in chosen
    named = [layers.index(network.require_decisions(c)) for c in chosen if c != INPUT]
    first = 0 if whole else min(named)
    found = record(network, data.inputs, layers[first:], values=True, device=device)
    if not whole:
        return found
    flat = np.asarray(data.inputs, dtype=np.float64).reshape(len(found), -1)
    return replace(found, pre_activations={**found.pre_activations, INPUT: flat})


def run_whole_space(
    network: Network,
    data: Data,
    domain: Domain,
    signatures: Signatures,
    goal: Goal,
    *,
    cuts: Sequence[str] | None = None,
    search: Search = DEFAULT,
    budget: float = 600.0,
    pool: Pool | None = None,
    certificates: Path | None = None,
    enough: float = ENOUGH,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> WholeSpace:
    """Patterns for every target of ``goal`` within ``budget`` seconds in ``pool`` (default: this
    process, without a ledger).

    ``signatures`` covers all rows of ``data.inputs`` with pre-activations (``record_values``).
    ``cuts``: layers to cut at, in the order they are tried for each class (``default_cuts``);
    a class stops at the first whose patterns have training recall ``enough``.  Ctrl-C ends it
    with the classes that are done.  ``certificates``: a folder that those of the whole network
    are kept in as they are made, and taken from after a kill.  ``note``: told what is going on,
    in words, where the work is done in this process.
    """
    if domain.kind is DomainKind.BALL:
        raise QueryError("patterns over a whole domain", expected="one box", got=str(domain))
    started, wall = time.monotonic(), time.time()
    order = tuple(cuts) if cuts else default_cuts(network)
    for cut in order:
        Tail(network, domain.box, cut)  # a cut that is none is said before any work
    flat = np.asarray(data.inputs).reshape(len(data.inputs), -1)
    within = domain.box.contains(flat)
    notes = []
    outside = int((~within).sum())
    if outside:
        notes.append(
            f"{outside} of {len(flat)} inputs lie outside the domain: no pattern is looked for "
            "among them and they count for no support"
        )
    targets = [target for target in goal.targets if target.property is not None]
    rows = {
        target.label: data.train[(goal.labels == target.label)[data.train] & within[data.train]]
        for target in targets
    }
    searched = [target for target in targets if len(rows[target.label])]
    for target in targets:
        if target not in searched:
            notes.append(f"{target.name}: no training input of the domain has it")
    progress = progress or Silent()
    pool = pool or InProcess()
    say = note if isinstance(pool, InProcess) else None
    progress.stage("classes", len(searched))

    def job(target: Target, seconds: float) -> ClassJob:
        assert target.property is not None
        part = signatures.rows(rows[target.label])
        return ClassJob(
            network,
            domain.box,
            target.property,
            part,
            order,
            search,
            seconds,
            enough,
            certificates,
            None if say is None else _of(say, target),
        )

    done: dict[int, ClassFound] = {}
    interrupted = False

    def ended(index: int, found: ClassFound) -> None:
        done[searched[index].label] = found
        if note is not None and say is None:
            note(f"{searched[index].name}: done")
        progress.step()

    try:
        with _one_thread():
            pool.map(_jobs(searched, job, budget, pool.workers), ended)
    except KeyboardInterrupt:
        interrupted = True
    classes, events = [], []
    for target in searched:
        if target.label not in done:
            notes.append(f"{target.name}: the run ended before it was searched")
            continue
        found = done[target.label]
        if found.failed:
            notes.append(f"{target.name}: not searched, {found.failed}")
        classes.append(
            _result(network, data, domain, signatures, goal, target, rows[target.label], found)
        )
        covered = np.zeros(len(rows[target.label]), dtype=np.bool_)
        for one, moment in zip(found.found, found.moments, strict=True):
            added = int((one.inside & ~covered).sum())
            covered |= one.inside
            events.append(Event(max(moment - wall, 0.0), target.name, added, len(one.pattern)))
    return WholeSpace(
        network,
        data,
        domain,
        goal,
        signatures,
        tuple(classes),
        tuple(sorted(events, key=lambda e: e.seconds)),
        time.monotonic() - started,
        budget,
        interrupted,
        tuple(notes),
    )


def _result(
    network: Network,
    data: Data,
    domain: Domain,
    signatures: Signatures,
    goal: Goal,
    target: Target,
    rows: Rows,
    found: ClassFound,
) -> ClassResult:
    entries: list[Precondition] = []
    forced: list[tuple[Forced, ...]] = []
    seen = signatures.rows(data.train)
    tail = Tail(network, domain.box, found.cut)
    for number, one in enumerate(found.found, 1):
        entries.append(
            Precondition(
                f"space-{target.name}-{number}",
                Kind.SPACE,
                target.name,
                target.property,
                one.pattern,
                support_of(
                    one.pattern,
                    target.label,
                    goal,
                    signatures,
                    data,
                    domain.box,
                    recalled=domain.box,
                ),
                one.verdict,
                proofs=one.proofs,
                note="proved of the whole network"
                if found.cut == INPUT
                else f"proved through the tail after {found.cut}",
            )
        )
        forced.append(forced_literals(tail, one.pattern, one.witnesses, seen, data.train))
    held = data.held_out
    inside = np.zeros(len(signatures), dtype=np.bool_)
    for one in found.found:
        inside |= one.pattern.holds(signatures)
    flat = np.asarray(data.inputs).reshape(len(data.inputs), -1)
    own = (goal.labels == target.label) & domain.box.contains(flat)
    return ClassResult(
        target,
        found.cut,
        tuple(entries),
        tuple(forced),
        Share(int(inside[rows].sum()), len(rows)),
        Share(int((inside & own)[held].sum()), int(own[held].sum())),
        found.rounds,
        found.proofs,
        found.seconds,
        found.tried,
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
