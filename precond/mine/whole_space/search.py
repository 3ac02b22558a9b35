"""Patterns that imply a property over a whole domain, found from counterexamples and proofs.

For the inputs of one class: propose the cheapest pattern that excludes every counterexample
known; attack it; prove it; on a counterexample choose again.  A counterexample names the
literals that would exclude it, and the choice among them is a weighted cover: each point must
be excluded, at the least loss of inputs (``pool``).  When it proves, literals are dropped
again: first those that shut inputs out, then the rest in groups, as long as it still proves.

Claims are asked through a tail of the network (``proof.tail``), whose counterexamples are
values of the cut layer; they may be out of reach of any input, so the pattern found is
sufficient and perhaps not the weakest.

Source of the idea of patterns as specifications: Geng et al. 2023 (neural activation
patterns); of counterexample-guided choice: Solar-Lezama 2008; of dropping in groups: Junker
2004 (QuickXplain).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from precond.logit_property import require_kept
from precond.mine.whole_space.by_proof import ladder
from precond.mine.whole_space.class_pattern import ClassPattern
from precond.mine.whole_space.counterexample_guided import PatternSearch, Search
from precond.mine.whole_space.shifted_pictures import alike
from precond.mine.whole_space.task import PatternTask, silent
from precond.network.graph import INPUT
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.restate.tail import Tail
from precond.property import Property
from precond.region.signature import Signatures, joined

DEFAULT = Search()


def whole_space_patterns(
    tail: Tail,
    property: Property,
    signatures: Signatures,
    *,
    search: Search = DEFAULT,
    deadline: Deadline,
    note: Callable[[str], None] | None = None,
    ledger: Ledger | None = None,
) -> list[ClassPattern]:
    """Patterns, widest first, that imply ``property`` over the tail's box.

    ``signatures``: of the class's inputs, with pre-activations of the cut layer (the inputs
    themselves for a cut at ``INPUT``).  Each
    further pattern is sought for the inputs that no earlier one holds for.  What ``ledger``
    knows is not proved again: the same search goes on where an earlier one was killed.
    """
    require_kept(tail.rest, property)
    task = PatternTask(tail, property, search, note=note or silent, ledger=ledger)
    if tail.cut == INPUT:
        return _by_ladder(task, signatures, deadline)
    patterns: list[ClassPattern] = []
    left = np.arange(len(signatures))
    witnesses = np.zeros((0, tail.rest.input_size))
    for _ in range(search.patterns):
        if len(left) < search.least or deadline.passed:
            break
        run = PatternSearch(task, signatures.rows(left), witnesses, deadline=deadline)
        result = run.run()
        witnesses = run.witnesses
        if result is None or result.inside.sum() < search.least:
            break
        everywhere = result.pattern.holds(signatures)
        patterns.append(replace(result, inside=everywhere))
        left = left[~everywhere[left]]
    return patterns


def _by_ladder(task: PatternTask, signatures: Signatures, deadline: Deadline) -> list[ClassPattern]:
    """The whole network at once: proofs are dear, so few are asked (``ladder``)."""
    own = len(signatures)
    if task.search.picture is not None:
        moved = alike(task.tail, task.property, signatures, shape=task.search.picture)
        signatures = joined(signatures, moved)
    rungs = ladder(task, signatures, deadline=deadline, own=own)
    return [
        ClassPattern(
            pattern=r.pattern,
            verdict=r.verdict,
            cut=INPUT,
            inside=r.inside[:own],
            rounds=r.proofs,
            proofs=r.proofs,
            seconds=r.seconds,
            witnesses=r.witnesses,
        )
        for r in rungs
    ]
