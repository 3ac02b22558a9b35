"""Channel rules: which channels of a convolutional layer fire, and where, implies a label.

    channel 7 fires somewhere in the upper left and channel 2 is silent everywhere  ⇒  class 3

They are layer rules whose features are maps, not neurons: each channel of a layer has one feature
for the whole map and one for each quadrant, "some neuron there is on".  The learner is that of
layer rules (``layer_preconditions``), run on a recording that is pooled in this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from precond.basics.notebook import NotebookLine
from precond.mine.layer_rules.learn import constant_layers, layer_preconditions
from precond.mine.layer_rules.probes import Probes
from precond.proof.deadline import FOREVER, Deadline
from precond.region.channels import ChannelPattern, MapShape, channel_pattern, pooled_signatures
from precond.region.signature import Signatures

TREES = 40  # a pooled layer has few features


@dataclass(frozen=True, kw_only=True)
class ChannelRule(NotebookLine):
    """``pattern`` implies ``label`` on the training inputs; the rest as of a ``LayerRule``."""

    label: int
    pattern: ChannelPattern
    support: int
    precision: float
    confidence: float

    def __repr__(self) -> str:
        return (
            f"ChannelRule({self.pattern} ⇒ class {self.label}, support {self.support}, "
            f"precision {100 * self.precision:.1f} %)"
        )


def channel_rules(  # noqa: PLR0913 - options of a public function, each by its keyword
    signatures: Signatures,
    labels: ArrayLike,
    maps: MapShape,
    *,
    minimum_precision: float = 1.0,
    minimum_support: int = 10,
    classes: Sequence[int] | None = None,
    probes: Probes | None = None,
    trees: int = TREES,
    seed: int = 0,
    deadline: Deadline = FOREVER,
) -> tuple[ChannelRule, ...]:
    """Rules over the channels of one layer, largest support first; none where no channel's firing
    differs between two training inputs.  Arguments and errors as of ``layer_preconditions``."""
    pooled = pooled_signatures(signatures, maps)
    if constant_layers(pooled):
        return ()
    rules = layer_preconditions(
        pooled,
        labels,
        minimum_precision=minimum_precision,
        minimum_support=minimum_support,
        classes=classes,
        probes=None if probes is None else _pooled(probes, maps),
        trees=trees,
        seed=seed,
        deadline=deadline,
    )
    return tuple(
        ChannelRule(
            label=rule.label,
            pattern=channel_pattern(rule.pattern, maps),
            support=rule.support,
            precision=rule.precision,
            confidence=rule.confidence,
        )
        for rule in rules
    )


def _pooled(probes: Probes, maps: MapShape) -> Probes:
    pooled = pooled_signatures(probes.signatures, maps)
    return Probes(pooled, probes.labels, minimum_precision=probes.minimum_precision)
