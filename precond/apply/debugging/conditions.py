"""What errors can have in common: conditions that an input meets or not, in plain words.

Two kinds of condition are *edits*: a neuron held in its other state, a part of the input set to
usual values.  An error meets one if the edit makes the network answer its label, a right input
if the edit changes its answer.  The others can be told without the label, but for doubtful
labels, which are about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from precond.data.dataset import class_name
from precond.mine.layer_rules.learn import LayerRule


@dataclass(frozen=True)
class DoubtfulLabels:
    """Inputs whose label is in doubt, of one pair of classes or (None) of any."""

    label: int | None
    likely: int | None


@dataclass(frozen=True)
class SwitchedUnit:
    """Unit ``unit`` of ``layer`` (a channel where the layer has such) held ``on`` or off."""

    layer: str
    unit: int
    on: bool
    channel: bool = False

    @property
    def name(self) -> str:
        return f"{'channel' if self.channel else 'neuron'} {self.layer}[{self.unit}]"


@dataclass(frozen=True)
class UsualRegion:
    """The inputs ``features`` set to their median; ``name``: where they lie, in words."""

    features: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class FewRules:
    """So few rules of the predicted class hold as for at most ``share`` of right inputs;
    ``predicted``: of one class, or (None) of any."""

    predicted: int | None
    share: float


@dataclass(frozen=True)
class RivalRules:
    """Rules of ``rival``, or (None) of any class that is not predicted, hold with more than
    ``strength``."""

    rival: int | None
    strength: float


@dataclass(frozen=True)
class Hesitation:
    """``first`` is among the two classes with the largest scores, ``second`` (None: any) is the
    other, and the two scores are less than ``gap`` apart."""

    first: int
    second: int | None
    gap: float


@dataclass(frozen=True)
class SharedRule:
    """Rule ``number`` of the book, ``name``, holds."""

    number: int
    name: str
    rule: LayerRule


@dataclass(frozen=True)
class AlikeInfluences:
    """The influences of ``layer``'s units depart from what is usual for the predicted class in
    the same way as those of input ``row``, to within ``distance`` (1 − cosine)."""

    layer: str
    row: int
    distance: float


Condition = (
    DoubtfulLabels
    | SwitchedUnit
    | UsualRegion
    | FewRules
    | RivalRules
    | Hesitation
    | SharedRule
    | AlikeInfluences
)
Edit = SwitchedUnit | UsualRegion


def title(condition: Condition, classes: Sequence[str] | None = None) -> str:
    """The condition in a line; ``classes``: their names, in the order of their numbers."""

    def named(label: int) -> str:
        return class_name(label, classes)

    match condition:
        case DoubtfulLabels(label=label, likely=likely):
            words = "Labels that look wrong"
            if label is None or likely is None:
                return words
            return f"{words}: labelled {named(label)}, they look like {named(likely)}"
        case SwitchedUnit(on=True):
            return f"The {condition.name} stays off: switched on, it mends them"
        case SwitchedUnit():
            return f"The {condition.name} misleads: switched off, it mends them"
        case UsualRegion(name=name):
            return f"What is in {name} misleads: with usual values there, they are mended"
        case FewRules(predicted=predicted):
            which = "their class" if predicted is None else f"class {named(predicted)}"
            return f"Unlike the training inputs: fewer rules of {which} hold than is usual"
        case RivalRules(rival=rival):
            which = "another class" if rival is None else f"class {named(rival)}"
            return f"Between classes: rules of {which}, which is not predicted, hold as well"
        case Hesitation(first=first, second=second):
            other = "another class" if second is None else named(second)
            return f"The network hesitates between {named(first)} and {other}"
        case SharedRule(name=name, rule=rule):
            return f"Predicted {named(int(rule.label))} by the rule {name} of {rule.layer}"
        case AlikeInfluences(layer=layer):
            return f"Units of {layer} are used in the same unusual way"


def details(condition: Condition) -> str:
    """When exactly an input meets the condition."""
    match condition:
        case DoubtfulLabels():
            return (
                "The input looks as typical of the predicted class as inputs that are that class, "
                "and no rule of its label holds."
            )
        case SwitchedUnit(on=on):
            value = "its mean where it is on" if on else "0"
            return (
                f"With the {condition.name} set to {value}, the network answers the error's label; "
                "a right input shares this if its answer changes."
            )
        case UsualRegion():
            return (
                f"With {condition.name} set to the median of right inputs, the network answers the "
                "error's label; a right input shares this if its answer changes."
            )
        case FewRules(share=share):
            return (
                "The strength of the predicted class's rules is as low as for the lowest "
                f"{100 * share:g} % of the right inputs of that class."
            )
        case RivalRules(strength=strength):
            return f"The strength of the other class's rules is above {strength:g}."
        case Hesitation(gap=gap):
            return f"Their outputs are the two largest and less than {gap:.3g} apart."
        case SharedRule(rule=rule):
            return f"{rule.pattern}"
        case AlikeInfluences(row=row, distance=distance):
            return (
                f"How the units' influences depart from the class's usual ones is within "
                f"{distance:.2f} (1 − cosine) of input {row}."
            )
