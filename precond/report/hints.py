"""What to try next: the one home of the sentences that follow UNKNOWN and "none found".

A shortfall is typed; its sentence says why there is no answer, and the option that may give one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum

from precond.apply.certification.answers import BallOutcome, Robustness
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import Unproved
from precond.data.dataset import class_name
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status, Verdict
from precond.region.radius import Radius
from precond.study.analysis import Analysis, DomainKind
from precond.study.whole_space.result import WholeSpace

NEARLY = 0.9  # of its limit: such a proof ended with the time


class Shortfall(Enum):
    """Why something is not known or was not found, and what to try; the value is the sentence."""

    TIME = "time ran out: a larger --budget may settle it"
    EACH = "time for single proofs ran out: a larger --each (and --budget) may settle them"
    ENGINES = (
        "no engine could decide it, time was left: a smaller --domain, or another engine "
        "(z3, Marabou, HiGHS, where one is missing), may"
    )
    BALL = "the claims are too strong for this network: try a smaller ball, as in --domain ball:{}"
    RADIUS = "no input was certified: try a smaller --radius, such as {}"
    BOX = "claims over so large a domain are rarely true: try --domain ball:5%, or a smaller LO:HI"
    SINGLE = (
        "half of the input preconditions or more hold for no held-out input: each is about a ball "
        "around one input (--domain data asks about the box of all)"
    )
    RARE = (
        "half of the input preconditions or more hold for no held-out input: in so large a domain "
        "few literals could be dropped"
    )
    RULES = (
        "no layer rule: allow a lower --precision (as 0.95) or --support, try --values, or give "
        "more inputs"
    )
    OWN = "no wrong input has a proved precondition of its own: try a smaller --radius than {}"
    PATTERNS = (
        "no pattern was proved for class {}: try a larger --budget and --each, a later --cut (the "
        "last layer is easiest), or a smaller --domain"
    )
    TINY = (
        "a radius of {:g} is {:.2g} % of the range {:g} … {:g} of one value: perhaps too small; "
        "5% means 5 % of each value's range"
    )

    def say(self, *values: object) -> str:
        """The sentence, with its numbers."""
        return self.value.format(*values)


def of_verdict(verdict: Verdict, budget: float) -> str:
    """What to try after one UNKNOWN; empty for another status."""
    if verdict.status is not Status.UNKNOWN:
        return ""
    timed = verdict.seconds >= NEARLY * budget
    words = (Shortfall.TIME if timed else Shortfall.ENGINES).say()
    if verdict.done:
        words += f" ({100 * verdict.done:.0f} % of the region is decided)"
    return words


def of_analysis(analysis: Analysis) -> tuple[str, ...]:
    """What to try after ``analyze``."""
    items, domain = analysis.preconditions, analysis.domain
    found = []
    if not any(p.kind is Kind.LAYER for p in items):
        found.append(Shortfall.RULES.say())
    own = [p for p in items if p.kind is Kind.INPUT]
    if not any(p.verdict.is_proved for p in own) and not analysis.interrupted:
        spent = analysis.seconds >= NEARLY * analysis.budget
        if domain.kind is not DomainKind.BALL or domain.radius is None:
            found.append(Shortfall.BOX.say())
        elif not spent or _refuted(own):
            found.append(Shortfall.BALL.say(_quarter(domain.radius)))
        if spent:
            found.append(Shortfall.TIME.say())
    proved = [p for p in own if p.verdict.is_proved]
    if proved and len(analysis.data.held_out):
        held = sorted(p.support.held_out for p in proved)
        if not held[len(held) // 2]:
            single = domain.kind is DomainKind.BALL
            found.append((Shortfall.SINGLE if single else Shortfall.RARE).say())
    if domain.radius is not None:
        found += _tiny(domain.radius, analysis.data.natural)
    return _once(f"to try: {words}" for words in found)


def of_robustness(
    robustness: Robustness, natural: tuple[float, float], budget: float
) -> tuple[str, ...]:
    """What to try after ``robustness``."""
    words = []
    first = robustness.balls[0] if robustness.balls else ()
    known = {ball.outcome for ball in first}
    spent = robustness.seconds >= NEARLY * budget
    settled = BallOutcome.ATTACKED in known or not spent
    if first and BallOutcome.CERTIFIED not in known and settled:
        words.append(Shortfall.RADIUS.say(_quarter(robustness.radii[0])))
    if any(ball.outcome is BallOutcome.UNKNOWN for balls in robustness.balls for ball in balls):
        words.append((Shortfall.TIME if spent else Shortfall.EACH).say())
    if robustness.radii:
        words += _tiny(robustness.radii[-1], natural)
    return _once(f"to try: {line}" for line in words)


def of_debugged(debugged: Debugged, natural: tuple[float, float]) -> tuple[str, ...]:
    """What to try after ``debug``."""
    words = []
    if not debugged.book.rules:
        words.append(Shortfall.RULES.say())
    own = [one.own for one in debugged.findings if isinstance(one.own, Unproved)]
    if own and len(own) == len(debugged.findings):
        tried = any(one.refuted or one.open or one.left is not None for one in own)
        if tried:
            words.append(Shortfall.OWN.say(Radius.of(debugged.settings.radius).option))
        if not tried or debugged.seconds >= NEARLY * debugged.settings.budget:
            words.append(Shortfall.TIME.say())
    words += _tiny(Radius.of(debugged.settings.radius), natural)
    return _once(f"to try: {line}" for line in words)


def of_whole_space(run: WholeSpace) -> tuple[str, ...]:
    """What to try after ``patterns``."""
    without = [
        class_name(result.target.name, run.study.data.classes)
        for result in run.classes
        if not any(entry.verdict.is_proved for entry in result.entries)
    ]
    if not without or run.interrupted:
        return ()
    return (f"to try: {Shortfall.PATTERNS.say(', '.join(without))}",)


def _refuted(items: Sequence[Precondition]) -> bool:
    return any(p.verdict.status is Status.REFUTED for p in items)


def _quarter(radius: Radius) -> str:
    """A quarter of a radius, in two digits."""
    return replace(radius, size=float(f"{radius.size / 4:.2g}")).option


def _tiny(radius: Radius, natural: tuple[float, float] | None) -> list[str]:
    """A radius chosen for values in [0, 1] says little of bytes."""
    low, high = natural or (0.0, 1.0)
    if radius.of_range or high - low < 20 or radius.size >= 0.002 * (high - low):
        return []
    return [Shortfall.TINY.say(radius.size, 100 * radius.size / (high - low), low, high)]


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
