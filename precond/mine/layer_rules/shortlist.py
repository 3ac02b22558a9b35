"""From candidates to a short list of rules: shorten, cover, merge.

*Shorten*: a literal is dropped while the rule stays pure enough without it, that which lets
most inputs of the label in first; so at the end no single literal can be dropped.
*Cover*: per label, the rule that adds most inputs not yet covered, until none adds any
(greedy set cover, within 1 + ln n of the shortest list; Chvátal 1979).
*Merge*: a rule whose literals imply another rule of the same label says nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from precond.mine.labels import NO_LABEL
from precond.mine.layer_rules.literals import Bounds, LiteralTable, Words
from precond.proof.deadline import FOREVER, Deadline


def reaches(hits: Any, total: Any, precision: float) -> Any:
    """hits / total ≥ precision, for numbers or arrays, whatever way the product rounds."""
    return hits >= precision * total - 1e-9 * total


@dataclass(frozen=True)
class Candidate:
    """Literal ids that imply ``label``; of ``support`` inputs inside, ``hits`` carry it."""

    label: int
    literals: frozenset[int]
    hits: int
    support: int


@dataclass(frozen=True, eq=False)
class Bar:
    """What a rule must reach: precision and support on the training inputs in ``table``, and
    precision on the probes, if there are any."""

    table: LiteralTable
    minimum_precision: float
    minimum_support: int
    probes: LiteralTable | None = None
    probe_precision: float = 0.0

    def judge(self, literals: frozenset[int], inside: Words) -> Candidate | None:
        """The commonest label of the inputs ``inside``, if the rule reaches the bar for it."""
        counts = self.table.counts(inside)
        best = int(counts.argmax())
        label, hits, total = self.table.labels[best], int(counts[best]), int(counts.sum())
        if (
            label == NO_LABEL
            or total < self.minimum_support
            or not reaches(hits, total, self.minimum_precision)
        ):
            return None
        if self.probes is not None:
            seen = self.probes.counts(self.probes.matches(sorted(literals)))
            if not reaches(seen[best], seen.sum(), self.probe_precision):
                return None
        return Candidate(label, literals, hits, support=total)


def shorten(candidate: Candidate, bar: Bar) -> Candidate:
    """The candidate with fewest literals that greedy dropping reaches."""
    label = bar.table.labels.index(candidate.label)
    literals = sorted(candidate.literals)
    hits, support = candidate.hits, candidate.support
    while literals:
        counts = bar.table.counts(_without_each(bar.table, literals))
        allowed = reaches(counts[:, label], counts.sum(axis=1), bar.minimum_precision)
        if bar.probes is not None:
            seen = bar.probes.counts(_without_each(bar.probes, literals))
            allowed &= reaches(seen[:, label], seen.sum(axis=1), bar.probe_precision)
        if not allowed.any():
            break
        dropped = int(np.where(allowed, counts[:, label], -1).argmax())
        hits, support = int(counts[dropped, label]), int(counts[dropped].sum())
        del literals[dropped]
    return Candidate(candidate.label, frozenset(literals), hits, support=support)


def _without_each(table: LiteralTable, literals: list[int]) -> Words:
    """Bit sets of the conjunction without its i-th literal, (len(literals), words)."""
    sets = table.of(literals)
    result = np.empty_like(sets)
    result[0] = table.valid
    np.bitwise_and.accumulate(sets[:-1], axis=0, out=result[1:])
    result[1:] &= table.valid
    after = table.valid.copy()
    for i in range(len(literals) - 1, -1, -1):
        result[i] &= after
        after &= sets[i]
    return result


def refine(
    candidates: Sequence[Candidate], bar: Bar, deadline: Deadline = FOREVER
) -> list[Candidate]:
    """Shortened rules: largest candidates first, leaving out those whose inputs of the label
    are covered by then; until ``deadline``."""
    table = bar.table
    covered = np.zeros_like(table.valid)
    short: dict[tuple[int, frozenset[int]], Candidate] = {}
    for candidate in sorted(set(candidates), key=lambda c: (-c.hits, c.label, sorted(c.literals))):
        if deadline.passed:
            break
        group = table.group(candidate.label)
        if not (table.matches(sorted(candidate.literals), group) & ~covered[group]).any():
            continue
        rule = shorten(candidate, bar)
        covered[group] |= table.matches(sorted(rule.literals), group)
        short.setdefault((rule.label, rule.literals), rule)
    return list(short.values())


def cover(rules: Sequence[Candidate], table: LiteralTable) -> list[Candidate]:
    """A short list that covers what ``rules`` cover, label by label."""
    chosen = []
    for label in sorted({rule.label for rule in rules}):
        group = table.group(label)
        own = [rule for rule in rules if rule.label == label]
        sets = np.stack([table.matches(sorted(rule.literals), group) for rule in own])
        left = table.valid[group].copy()
        while True:
            gains = np.bitwise_count(sets & left).sum(axis=1, dtype=np.int64)
            best = int(gains.argmax())
            if gains[best] == 0:
                break
            chosen.append(own[best])
            left &= ~sets[best]
    return chosen


def merge(rules: Sequence[Candidate], table: LiteralTable) -> list[Candidate]:
    """The rules that imply no other rule of the same label (of equal ones, the first)."""
    weakest: dict[int, list[tuple[Candidate, Bounds]]] = {}
    for rule in sorted(rules, key=lambda r: -r.support):
        own = weakest.setdefault(rule.label, [])
        bounds = table.features.bounds(rule.literals)
        if any(_implies(bounds, other) for _, other in own):
            continue
        own[:] = [(r, b) for r, b in own if not _implies(b, bounds)]
        own.append((rule, bounds))
    return [rule for own in weakest.values() for rule, _ in own]


def _implies(rule: Bounds, other: Bounds) -> bool:
    return all(rule.get(key, -inf) >= value for key, value in other.items())
