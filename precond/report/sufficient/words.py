"""What a sufficient set says, in sentences: each says just what was proved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from precond.data.dataset import Dataset, class_name
from precond.mine.sufficient_features.minimal import Needed
from precond.mine.sufficient_features.sufficient import SufficientFeatures

NAMED = 8  # conditions in a sentence


@dataclass(frozen=True)
class InputAnswer:
    """What was asked, in words: the input's row, what the network says of it, and where the free
    features may be (``free``: after "whatever the others are")."""

    row: int
    says: str
    free: str


def input_answer(dataset: Dataset, row: int, label: int, *, free: str) -> InputAnswer:
    """Of a classifier."""
    return InputAnswer(row, f"class {class_name(label, dataset.classes)}", free)


def sentence(found: SufficientFeatures, answer: InputAnswer) -> str:
    """The answer in one sentence."""
    kept, units = found.size, found.question.units
    others = units.count - kept
    if not found.verdict.is_proved:
        return (
            f"{kept} of {units.count} {plural(units.word, units.count)} were not proved to suffice "
            f"for {answer.says}: {found.verdict.reason or 'time ran out'}."
        )
    if not kept:
        word = plural(units.word, units.count)
        return f"Nothing needs to stay: {answer.says} whatever the {word} are {answer.free}."
    whatever = f"whatever the other {others} {plural(units.word, others)} are {answer.free}"
    if found.widened is not None and kept <= NAMED:
        return f"{joined(conditions(found))} {suffice(kept)} for {answer.says}, {whatever}."
    if units.plain and found.question.x.size <= 64 and kept <= NAMED:
        values = [f"{units.names[u]} = {shown(found.question.x[u])}" for u in found.kept]
        return f"{joined(values)} {suffice(kept)} for {answer.says}, {whatever}."
    return (
        f"{kept} of {units.count} {plural(units.word, units.count)}, as they are, {suffice(kept)} "
        f"for {answer.says}, {whatever}."
    )


def conditions(found: SufficientFeatures) -> list[str]:
    """For each kept feature what was proved to be enough: ``a ≤ 3``, ``1 ≤ a ≤ 3``, ``a = 2``."""
    wide = found.widened
    if not found.question.units.plain:
        return list(found.names)
    if wide is None:
        return [
            f"{n} = {shown(found.question.x[u])}"
            for n, u in zip(found.names, found.kept, strict=True)
        ]
    reach, lines = found.question.reach, []
    for name, unit in zip(found.names, found.kept, strict=True):
        low, high = float(wide.box.lower[unit]), float(wide.box.upper[unit])
        below, above = low > reach.lower[unit], high < reach.upper[unit]
        if low == high:
            lines.append(f"{name} = {shown(low)}")
        elif below and above:
            lines.append(f"{shown(low)} ≤ {name} ≤ {shown(high)}")
        elif below:
            lines.append(f"{name} ≥ {shown(low)}")
        elif above:
            lines.append(f"{name} ≤ {shown(high)}")
        else:
            lines.append(f"{name} anywhere")
    return lines


def shown(value: float) -> str:
    """A number that reads back as itself."""
    for text in (f"{value:.6g}", str(np.float32(value))):
        if float(text) == value:
            return text
    return repr(float(value))


def bound_words(found: SufficientFeatures) -> str:
    """How small a sufficient set could be."""
    if found.is_smallest:
        return "no sufficient set is smaller"
    word = plural(found.question.units.word, found.least)
    return f"every sufficient set keeps at least {found.least} {word}"


def needed_words(found: SufficientFeatures) -> str:
    """Why each unit is kept, counted."""
    counts = {why: sum(one is why for one in found.needed.why.values()) for why in Needed}
    if not any(counts.values()):
        return "none"
    parts = [f"{counts[Needed.VIOLATOR]} by a violator"]
    if counts[Needed.UNPROVED]:
        parts.append(f"{counts[Needed.UNPROVED]} because no proof was found without")
    if counts[Needed.NOT_ASKED]:
        parts.append(f"{counts[Needed.NOT_ASKED]} not asked, time ran out")
    return ", ".join(parts)


def contrast_words(found: SufficientFeatures, name: str) -> str:
    """The contrastive set in words."""
    contrast = found.contrast
    assert contrast is not None
    word = plural(found.question.units.word, len(contrast.units))
    if contrast.point is None:
        return f"no input of class {name} was found there (at least {contrast.least} would change)"
    return (
        f"changing {len(contrast.units)} {word} makes it class {name}; at least "
        f"{contrast.least} must change"
    )


def plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}es" if word.endswith("ch") else f"{word}s"


def suffice(count: int) -> str:
    return "suffices" if count == 1 else "suffice"


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
