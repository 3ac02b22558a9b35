"""``NearClaims``: for every rule and every input that supports it, the claim that in the ball
around the input the rule's pattern implies the rule's property.

Most inputs are so well inside their class that the whole ball has the property: one bound
propagation then answers for all rules that the input supports.  What is left is bounded with
each rule's pattern, in batches, and what is left of that is put to ``prove``, rules with the
fewest open claims first.  A bound counts by the same gate as an engine's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.basics.evenly import evenly
from precond.mine.near_data.balls import LADDER, DataBalls
from precond.network.graph import Network
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.near_data import NearData
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.pattern import DecisionPattern
from precond.workers.pool import Pool, ProofJob

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Pair = tuple[int, int]  # position of a rule, row of an input
ANY = DecisionPattern()
BATCH = 128  # balls bounded at once
STEPS = 20  # of ascent on the multipliers of a pattern
SHARE = 0.9  # of the claims that plain bounds must prove at the radius that is chosen
SAMPLE = 100  # inputs that the radius is chosen on


@dataclass(frozen=True, eq=False)
class NearRule:
    """What is claimed near ``rows``, the inputs that support the rule."""

    pattern: DecisionPattern
    property: Property
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class ProofLimits:
    """``each``: seconds for a claim that bounds leave open."""

    each: float = 2.0
    device: str = "cpu"
    seed: int = 0


class NearClaims:
    """Claims near data of one network, and what is known of them."""

    def __init__(self, network: Network, balls: DataBalls, limits: ProofLimits) -> None:
        self.network, self.balls, self.limits = network, balls, limits
        self._whole: dict[tuple[Property, float], dict[int, bool]] = {}

    def claim(self, rule: NearRule, row: int, radius: float) -> Claim:
        """The claim in the ball around one input."""
        box = self.balls.around(row, radius)
        return Claim(self.network, box, rule.pattern, property=rule.property)

    def whole_balls(
        self, property: Property, rows: Sequence[int], radius: float, deadline: Deadline
    ) -> set[int]:
        """The rows whose whole ball has the property by plain bounds, whatever the pattern."""
        known = self._whole.setdefault((property, radius), {})
        todo = [int(row) for row in rows if int(row) not in known]
        for rows_now, problems in self._batches(
            [(NearRule(ANY, property, np.zeros(0, np.int64)), row) for row in todo], radius
        ):
            if deadline.passed:
                break
            bound = pattern_bounds(problems, steps=0, device=self.limits.device, deadline=deadline)
            known |= dict(zip(rows_now, map(bool, excludes(bound)), strict=True))
        return {int(row) for row in rows if known.get(int(row), False)}

    def by_bounds(self, rules: Sequence[NearRule], radius: float, deadline: Deadline) -> set[Pair]:
        """The pairs that bounds prove: those of whole balls, then with each rule's pattern."""
        proved = self.by_whole_balls(rules, radius, deadline)
        left = [pair for pair in _pairs(rules) if pair not in proved]
        return proved | self.with_patterns(rules, left, radius, deadline=deadline)

    def by_whole_balls(
        self, rules: Sequence[NearRule], radius: float, deadline: Deadline
    ) -> set[Pair]:
        """The pairs whose whole ball has the property."""
        proved = set()
        for property in dict.fromkeys(rule.property for rule in rules):
            own = [k for k, rule in enumerate(rules) if rule.property == property]
            rows = sorted({int(row) for k in own for row in rules[k].rows})
            sure = self.whole_balls(property, rows, radius, deadline=deadline)
            proved |= {(k, int(row)) for k in own for row in rules[k].rows if int(row) in sure}
        return proved

    def with_patterns(
        self, rules: Sequence[NearRule], pairs: Sequence[Pair], radius: float, deadline: Deadline
    ) -> set[Pair]:
        """Those of ``pairs`` that bounds over ball and pattern prove."""
        proved: set[Pair] = set()
        for property in dict.fromkeys(rules[k].property for k, _ in pairs):
            own = [pair for pair in pairs if rules[pair[0]].property == property]
            for start in range(0, len(own), BATCH):
                if deadline.passed:
                    return proved
                part = own[start : start + BATCH]
                problems = [self.claim(rules[k], row, radius).problem for k, row in part]
                bound = pattern_bounds(
                    problems, steps=STEPS, device=self.limits.device, deadline=deadline
                )
                proved |= {
                    pair for pair, sure in zip(part, excludes(bound), strict=True) if bool(sure)
                }
        return proved

    def _batches(
        self, asked: Sequence[tuple[NearRule, int]], radius: float
    ) -> Iterator[tuple[list[int], list[Problem]]]:
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            yield (
                [row for _, row in part],
                [self.claim(rule, row, radius).problem for rule, row in part],
            )

    def by_engines(
        self,
        rules: Sequence[NearRule],
        pairs: Sequence[Pair],
        radius: float,
        pool: Pool,
        deadline: Deadline,
    ) -> dict[Pair, Verdict]:
        """Verdicts of ``pairs``, the rules with the fewest of them first, until ``deadline``."""
        count = Counter(k for k, _ in pairs)
        order = sorted(pairs, key=lambda pair: (count[pair[0]], pair))
        verdicts: dict[Pair, Verdict] = {}

        def jobs() -> Iterator[ProofJob]:
            for k, row in order:
                if deadline.passed:
                    return
                yield ProofJob(
                    self.claim(rules[k], row, radius),
                    max(0.1, min(self.limits.each, deadline.left)),
                    np.asarray(self.balls.points[row], dtype=np.float64)[None],
                    device=self.limits.device,
                    seed=self.limits.seed,
                )

        pool.map(jobs(), lambda index, verdict: verdicts.__setitem__(order[index], verdict))
        return verdicts


def chosen_radius(
    claims: NearClaims, rules: Sequence[NearRule], deadline: Deadline
) -> float | None:
    """The largest radius of the ladder, found by bisection, at which plain bounds prove ``SHARE``
    of the claims near a sample of the inputs; None where even the smallest is too large."""
    sample = _sampled(rules)
    total = sum(len(rule.rows) for rule in sample)
    first, beyond = 0, len(LADDER)  # the radius searched for stands before ``beyond``
    best = None
    while first < beyond:
        middle = (first + beyond - 1) // 2
        proved = claims.by_whole_balls(sample, LADDER[middle], deadline)
        if len(proved) >= SHARE * total:
            best, first = LADDER[middle], middle + 1
        else:
            beyond = middle
        if deadline.passed:
            break
    return best


def _sampled(rules: Sequence[NearRule]) -> list[NearRule]:
    """The rules with those of their rows that are in an even sample of all rows."""
    rows = np.unique(np.concatenate([rule.rows for rule in rules]))
    some = rows[evenly(len(rows), SAMPLE)]
    return [NearRule(r.pattern, r.property, r.rows[np.isin(r.rows, some)]) for r in rules]


def largest_radii(
    claims: NearClaims, rules: Sequence[NearRule], deadline: Deadline
) -> list[float | None]:
    """For each rule the largest radius of the ladder at which bounds prove all of its claims."""
    largest: list[float | None] = [None] * len(rules)
    alive = [k for k, rule in enumerate(rules) if len(rule.rows)]
    for radius in LADDER:
        some = [rules[k] for k in alive]
        if not some or deadline.passed:
            break
        whole = claims.by_whole_balls(some, radius, deadline)
        open_ = [pair for pair in _pairs(some) if pair not in whole]
        count = Counter(j for j, _ in open_)
        near = {j for j in range(len(some)) if _few(count[j], len(some[j].rows))}
        proved = whole | claims.with_patterns(
            some, [pair for pair in open_ if pair[0] in near], radius, deadline=deadline
        )
        closed = Counter(j for j, _ in proved)
        done = [closed[j] == len(some[j].rows) for j in range(len(some))]
        for j, k in enumerate(alive):
            if done[j]:
                largest[k] = radius
        alive = [k for j, k in enumerate(alive) if done[j]]
    return largest


def _few(count: int, total: int) -> bool:
    """Whether so few of a rule's claims are open that their patterns may close them."""
    return 4 * count <= total


def _pairs(rules: Sequence[NearRule]) -> list[Pair]:
    return [(k, int(row)) for k, rule in enumerate(rules) for row in rule.rows]


def counted(
    rule: NearRule,
    balls: DataBalls,
    radius: float,
    *,
    proved: set[int],
    verdicts: dict[int, Verdict],
    largest: float | None,
) -> NearData:
    """One rule's answers, its rows' numbers in ``proved`` and ``verdicts``."""
    closed = {row for row, v in verdicts.items() if v.status.holds}
    against = sum(v.status is Status.REFUTED for v in verdicts.values())
    done = proved | closed
    if len(done) == len(rule.rows) > 0:
        largest = max(radius, largest or 0.0)
    return NearData(
        radius=balls.radius(radius),
        inputs=len(rule.rows),
        proved=len(done),
        refuted=against,
        largest=None if largest is None else balls.radius(largest),
    )
