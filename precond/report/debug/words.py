"""What the page of a wrong input says in sentences."""

from __future__ import annotations

from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.examine import Finding
from precond.apply.debugging.findings import Debugged
from precond.apply.debugging.own_answer import NOT_TRIED, Unproved
from precond.basics.counting import percent
from precond.region.radius import Radius
from precond.report.plot.pattern import literal_lines


def suspect_words(debugged: Debugged, suspect: Suspect) -> str:
    """Why a label is in doubt."""
    likely, label = map(debugged.class_name, (suspect.likely, suspect.label))
    return (
        f"Perhaps mislabelled: it satisfies {suspect.rules} rules of class {likely}, a "
        f"strength of {percent(suspect.strength)} where a typical {likely} has "
        f"{percent(suspect.typical)} or more, and no rule of class {label}."
    )


def own_words(debugged: Debugged, finding: Finding) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The own precondition in sentences, and its literals."""
    own, said = finding.own, debugged.class_name(finding.predicted)
    if isinstance(own, Unproved):
        return unproved_words(own), ()
    found = own.precondition
    assert found.pattern is not None
    radius, largest = (Radius(size, own.of_range) for size in (own.radius, own.whole))
    ball = f"L∞ ball of radius {radius.at_least(4)}"
    if own.of_range:
        ball = f"box of each column within ±{radius.at_least(4)} of its range"
    where = f"the {ball} around the input"
    if len(found.pattern):
        claim = (
            f"Every input of {where} with these {len(found.pattern)} of the signature's "
            f"{own.literals} neurons as below is predicted {said} too."
        )
    else:
        claim = f"Every input of {where} is predicted {said} too: no neuron is needed."
    whole = f"The whole signature proves up to radius {largest.at_least(4)}."
    proof = f"Proved by {found.verdict.engine} after {found.proofs} proofs"
    if not found.minimal:
        proof += "; time ran out before every neuron was tried"
    return (claim, proof + ".", whole), literal_lines(found.pattern, debugged.unit_names)


def unproved_words(own: Unproved) -> tuple[str, ...]:
    """Why there is none."""
    if own == NOT_TRIED:
        return ("Not tried: the time for all pages' own preconditions (--budget) was over.",)
    words = [f"None was proved within {own.seconds:.1f} s."]
    if own.refuted:
        words.append(
            f"{_balls(own.refuted, own)}: refuted; some input with this signature is predicted "
            "otherwise."
        )
    if own.open:
        words.append(f"{_balls(own.open, own)}: not decided in time.")
    if own.untried:
        words.append(f"{own.untried} smaller balls were not tried: time ran out.")
    if own.proved is not None:
        proved = Radius(own.proved, own.of_range).at_least(3)
        whole = f"Radius {proved}: the whole signature does prove the class"
        if own.left is None:
            words.append(f"{whole}, but no time was left to free a neuron.")
        else:
            words.append(
                f"{whole}, but the search left {own.left} of its {own.literals} neurons at best, "
                "more than half: such a pattern says little more than that the input is itself."
            )
    return tuple(words)


def _balls(sizes: tuple[float, ...], own: Unproved) -> str:
    return f"Radius {', '.join(f'{Radius(size, own.of_range):.3g}' for size in sizes)}"


def flips_short(debugged: Debugged, finding: Finding) -> str:
    label = debugged.class_name(finding.label)
    if finding.nearest is None:
        return f"class {label} has no rule"
    words = f"{len(finding.nearest.flips)} to the nearest rule of class {label}"
    if finding.switching is not None:
        words += f"; {len(finding.switching.flips)} to change the answer"
    return words


def flip_words(debugged: Debugged, finding: Finding) -> tuple[str, ...]:
    nearest, switching = finding.nearest, finding.switching
    label = debugged.class_name(finding.label)
    if nearest is None:
        return (f"Class {label} has no rule, so nothing can be said.",)
    book = debugged.book
    words = []
    if nearest.flips:
        words.append(
            f"Nearest rule of class {label}: {book.name(nearest.rule)} at "
            f"{book.rules[nearest.rule].layer}, {len(nearest.flips)} of its {nearest.literals} "
            "neurons would have to switch."
        )
    else:
        words.append(
            f"{book.name(nearest.rule)}, a rule of class {label}, holds already: that "
            "rule is wrong about this input."
        )
    if switching is None:
        words.append(
            "Giving the neurons of a rule their usual activations never changes the network's "
            f"answer to {label}."
        )
    elif switching.flips:
        several = len(switching.flips) > 1
        words.append(
            f"Switching {len(switching.flips)} neuron{'s' if several else ''} of "
            f"{book.name(switching.rule)} to {'their' if several else 'its'} usual "
            f"activation{'s' if several else ''} makes the network answer {label}."
        )
    return tuple(words)
