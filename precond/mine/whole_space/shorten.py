"""A shorter pattern for less recall: literals that shut inputs out can stand for many others.

Every literal that costs inputs makes the region smaller, so the proof can do without more of
the literals that cost nothing.  From a pattern that proves by whatever engine: add literals,
those that raise the bound most for the inputs they cost, until bounds alone prove it, as long
as the class keeps the recall asked for; then drop as many of all of them as bounds allow
(``shrink``), and more in groups as long as the rest is proved, the layers after the cut first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from precond.mine.whole_space.candidates import Flags, LiteralPool, affordable
from precond.mine.whole_space.choices import allowance
from precond.mine.whole_space.drop_literals import STEPS, shrink
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.effort import Effort
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.plans import search_stages
from precond.proof.prover.prove import prove
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.restate.restatement import ask
from precond.proof.restate.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.literals import literals_of
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

EFFORT = Effort(each=2.0)
CANDIDATES = 40  # literals weighed against each other by their bounds


@dataclass(frozen=True, eq=False)
class Fewest:
    """``pattern`` with its proof through the tail; ``inside`` (N,): the class's inputs that
    satisfy it; ``seconds`` spent."""

    pattern: DecisionPattern
    verdict: Verdict
    inside: Flags
    seconds: float


def fewest(
    tail: Tail,
    property: Property,
    signatures: Signatures,
    pattern: DecisionPattern,
    recall: float,
    *,
    deadline: Deadline,
    effort: Effort = EFFORT,
) -> Fewest | None:
    """A pattern with few literals that still proves and holds for at least a share ``recall``
    of the class's inputs (``signatures``, with pre-activations).

    ``pattern``: one that proves through ``tail``, to start from.  None where ``pattern`` itself
    holds for fewer inputs, or where nothing shorter was proved within ``deadline``.
    """
    began = time.monotonic()
    pool = LiteralPool.of(signatures, tail.layers, 1.0 - recall)
    known = set(literals_of(pattern))
    start = np.array([literal in known for literal in pool.literals], dtype=np.bool_)
    if start.sum() < len(pattern.only(tail.layers)):
        return None  # a literal of it alone costs more
    if pool.shut_out(start).mean() > 1.0 - recall:
        return None

    def claim(choice: Flags) -> Claim | None:
        return tail.claim(pool.pattern(choice), property)

    closed = _closed(pool, start, recall, claim=claim, deadline=deadline, device=effort.device)
    for begin in (closed, start):
        less = spare(begin, pool.at(tail.cut), claim, deadline=deadline, effort=effort)
        if less is not None:
            break
    else:
        return None
    smaller, verdict = less
    if smaller.sum() >= len(pattern):
        return None
    inside = ~pool.shut_out(smaller)
    return Fewest(pool.pattern(smaller), verdict, inside, seconds=time.monotonic() - began)


def spare(
    chosen: Flags,
    last: Flags,
    claim: Callable[[Flags], Claim | None],
    deadline: Deadline,
    *,
    known: Verdict | None = None,
    effort: Effort = EFFORT,
    ledger: Ledger | None = None,
) -> tuple[Flags, Verdict] | None:
    """``chosen`` (C,) without what its proof can do without, and the proof: first by bounds
    (``shrink``), then in groups by ``prove``, for ``effort.each`` seconds each; those of ``last``
    (C,) are tried after the others.  ``known``: a proof of ``chosen``.  None where ``chosen``
    itself does not prove."""

    def proof(choice: Flags) -> Verdict:
        made = claim(choice)
        if made is None:
            return Verdict(Status.VACUOUS)
        small = without_fixed_neurons(made)
        stages = search_stages(small.claim.problem, effort.device)
        budget = allowance(min(effort.each, deadline.left))
        answer = partial(prove, budget=budget, ledger=ledger, stages=stages, device=effort.device)
        return ask(small, answer)

    smaller = shrink(chosen, claim, deadline, device=effort.device)
    same = bool((smaller == chosen).all())
    verdict = known if same and known is not None else proof(smaller)
    if not verdict.is_proved and not same:
        smaller, verdict = chosen, known or proof(chosen)
    return (
        _dropped(smaller, verdict, last, proof=proof, deadline=deadline)
        if verdict.is_proved
        else None
    )


def _dropped(
    chosen: Flags,
    verdict: Verdict,
    last: Flags,
    proof: Callable[[Flags], Verdict],
    deadline: Deadline,
) -> tuple[Flags, Verdict]:
    """``chosen`` (C,) without groups of literals that a proof can do without, halved where it
    cannot; those of ``last`` (C,) are tried after the others."""
    groups = [np.flatnonzero(chosen & last), np.flatnonzero(chosen & ~last)]
    while groups and not deadline.passed:
        group = groups.pop()
        if not len(group):
            continue
        weaker = chosen.copy()
        weaker[group] = False
        answer = proof(weaker)
        if answer.is_proved:
            chosen, verdict = weaker, answer
        elif len(group) > 1:
            groups += [group[len(group) // 2 :], group[: len(group) // 2]]
    return chosen, verdict


def _closed(
    pool: LiteralPool,
    start: Flags,
    recall: float,
    claim: Callable[[Flags], Claim | None],
    deadline: Deadline,
    device: str,
) -> Flags:
    """``start`` (C,) and further literals until bounds prove it, or a share ``recall`` of the
    inputs is left, or the time ends."""
    count = pool.violated.shape[1]
    kept = 1.0 - float(pool.shut_out(start).mean())
    chosen = affordable(pool, kept, start)  # what costs nothing
    while not deadline.passed:
        out = pool.shut_out(chosen)
        loss = (pool.violated & ~out).sum(1)
        room = int(np.floor((1.0 - recall) * count + 1e-9)) - int(out.sum())
        order = np.argsort(np.where(chosen | (loss > room), count + 1, loss), kind="stable")
        order = order[: min(CANDIDATES, int((~chosen & (loss <= room)).sum()))]
        choices = [chosen]
        for index in order:
            choices.append(chosen.copy())
            choices[-1][index] = True
        claims = [claim(choice) for choice in choices]
        problems = [made.problem for made in claims if made is not None]
        if len(problems) < len(claims):
            return chosen
        bounds = pattern_bounds(problems, steps=STEPS, device=device, deadline=deadline)
        if bounds[0] > 0 or not len(order):
            return chosen
        gain = np.maximum(bounds[1:], -1e30) - bounds[0]
        best = int(order[np.argmax(gain / (loss[order] + 0.05))])
        chosen[best] = True
        chosen = affordable(pool, 1.0 - float(pool.shut_out(chosen).mean()), chosen)
    return chosen
