"""The pixels or columns of a wrong input that suffice for its wrong prediction.

They are looked for in the ball of the input's own precondition: the others move anywhere in it, and
the class cannot change (``mine.sufficient_features``).  Where the precondition needs no neuron the
ball alone proves the class, and no feature has to stay.
"""

from __future__ import annotations

from dataclasses import replace

from precond.apply.debugging.own_answer import OwnPrecondition
from precond.data.dataset import Dataset
from precond.mine.sufficient_features.sufficient import (
    SufficientFeatures,
    SufficientSettings,
    sufficient_features,
)
from precond.mine.sufficient_features.units import Units
from precond.network.graph import Network
from precond.proof.effort import Effort
from precond.proof.ledger.ledger import Ledger
from precond.region.box import Box
from precond.region.value_ranges import Array

EACH = 2.0  # seconds for one input at most
ASKING = 0.3  # of them, for one proof at most


def units_of(data: Dataset) -> Units:
    """Each pixel or column by itself, with its name."""
    size, shape, names = data.flat.shape[1], data.image_shape, data.features
    if shape is None:
        return replace(Units.single(size, names), word="column")
    if names is None:
        across, plane = shape[-1], shape[-1] * shape[-2]
        names = tuple(f"pixel {i % plane // across},{i % across}" for i in range(size))
    return replace(Units.single(size, names), word="pixel")


def sufficient_part(
    network: Network,
    point: Array,
    own: OwnPrecondition,
    *,
    ball: Box,
    units: Units,
    effort: Effort,
    ledger: Ledger | None = None,
) -> SufficientFeatures | None:
    """A set that suffices for the class of ``point`` (n,) in ``ball``, that of ``own``; None
    where nothing has to stay."""
    if not own.precondition.pattern:
        return None
    settings = SufficientSettings(
        budget=effort.budget,
        each=min(effort.each, ASKING * EACH),
        device=effort.device,
        seed=effort.seed,
        exact=False,
        lower=False,
        intervals=False,
    )
    return sufficient_features(network, point, ball, units=units, settings=settings, ledger=ledger)
