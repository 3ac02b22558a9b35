"""What a run asks: a label for every input, and the property that each label's rules imply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError
from precond.mine.labels import LabelKind, labels_of
from precond.network.graph import Network
from precond.property import Property
from precond.region.signature import Signatures
from precond.vnnlib.query import Query

Rows = NDArray[np.int64]


class GoalKind(Enum):
    """What the labels of a run are."""

    CLASSES = "classes"
    ONE_CLASS = "one class"
    CORRECTNESS = "correctness"
    PROPERTY = "property"

    @property
    def by_class(self) -> bool:
        """Whether labels are predicted classes."""
        return self in (GoalKind.CLASSES, GoalKind.ONE_CLASS)


@dataclass(frozen=True)
class Target:
    """What rules are to imply: ``label`` (number and name) and the property to prove, if any."""

    label: int
    name: str
    property: Property | None


@dataclass(frozen=True, eq=False)
class Goal:
    """The question of a run: a label per input (``NO_LABEL`` for none) and the targets.

    ``relabel``: the label of any recorded input, where the network's output alone decides it.
    """

    text: str
    kind: GoalKind
    labels: Rows
    targets: tuple[Target, ...]
    relabel: Callable[[Signatures], Rows] | None = None


def class_goal(network: Network, signatures: Signatures, only: int | None = None) -> Goal:
    """Rules that imply the predicted class (``only``: of one class)."""
    labels = labels_of(LabelKind.PREDICTED, signatures)
    classes = range(network.classes.count) if only is None else [only]
    targets = tuple(
        Target(k, str(k), Property.of_class(k, network))
        for k in classes
        if only is not None or (labels == k).any()
    )
    if not (labels == targets[0].label).any():
        raise DataError(
            f"class {targets[0].label}",
            expected="at least one input predicted as it",
            got="none",
            fix="Choose another --property or more data",
        )
    text, kind = "predicted", GoalKind.CLASSES
    if only is not None:
        text, kind = f"label:{only}", GoalKind.ONE_CLASS
    return Goal(text, kind, labels, targets=targets, relabel=lambda more: more.predicted)


def correctness_goal(signatures: Signatures, truth: Rows | None) -> Goal:
    """Rules for right and wrong predictions: empirical, there is nothing to prove."""
    labels = labels_of(LabelKind.CORRECTNESS, signatures, truth)
    targets = (
        Target(0, name="misclassified", property=None),
        Target(1, name="correct", property=None),
    )
    return Goal("misclassified", kind=GoalKind.CORRECTNESS, labels=labels, targets=targets)


def property_goal(
    name: str, query: Query, signatures: Signatures, inputs: NDArray[np.floating]
) -> Goal:
    """Rules that imply the property whose violations a VNN-LIB file states.

    Its input boxes take no part: the domain says where claims are made.
    """
    properties = {claim.property.clauses: claim.property for claim in query.claims}
    if len(properties) != 1:
        raise QueryError(
            f"--property {name}",
            expected="one property of the outputs",
            got=f"{len(properties)} (one for each of several regions)",
            fix="Split the file",
        )
    (property,) = properties.values()
    holds = property.holds(signatures.outputs, inputs)
    if not holds.any():
        raise DataError(f"--property {name}", expected="at least one input that has it", got="none")
    targets = (Target(1, "holds", property),)
    return Goal(name, kind=GoalKind.PROPERTY, labels=holds.astype(np.int64), targets=targets)
