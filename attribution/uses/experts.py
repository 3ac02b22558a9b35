"""Class experts: a model compressed to the units that matter for one class.

Of a slice's units the most positive and the most negative by influence are kept, the rest
set to 0 (Leino et al. 2018, section 4).  The expert says "class c" where c is still the
largest output.  Keeping positive units alone would make it say so always: the negative ones
carry the evidence for "rest".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.distributions import ClassConditional
from attribution.evaluate import outputs, outputs_from, values_at
from attribution.inputs import require_finite
from attribution.methods.influence import influence
from attribution.quantities import Quantity, class_score
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Node, Scale

Bools = NDArray[np.bool_]
Array = NDArray[np.float64]


class Ranking(Enum):
    """By what units are chosen."""

    INFLUENCE = "influence"
    ACTIVATION = "activation"
    RANDOM = "random"


@dataclass(frozen=True, eq=False)
class Expert:
    """``mask`` (*slice shape) of the units of ``cut`` go on, for class ``target``."""

    cut: Slice
    target: int
    mask: Bools

    def outputs(self, inputs: Any) -> Array:
        """Outputs (N, K) of the masked model."""
        mask = torch.as_tensor(self.mask)
        return outputs(
            self.cut, inputs, lambda values, _: values * mask.to(values.device, values.dtype)
        )

    def predict(self, inputs: Any) -> Bools:
        """(N,): whether the expert says its class."""
        return np.asarray(self.outputs(inputs).argmax(1) == self.target)

    def score(self, inputs: Any, labels: NDArray[np.integer]) -> PrecisionRecall:
        """Against class-vs-rest labels."""
        true = np.asarray(labels) == self.target
        return _agreement(self.predict(inputs), true, int(self.mask.sum()))

    def network(self, input_shape: Sequence[int] | None = None) -> Network:
        """The expert as a network: its mask is a scale layer after the slice."""
        model = self.cut.model
        if isinstance(model, Network):
            network = model
        else:
            from precond.formats.load import load

            network = load(model, input_shape)
        if len(self.cut.sites) != 1 or self.cut.sites[0].pre or self.cut.sites[0].call:
            raise QueryError(
                "expert as a network", expected="a slice after one layer", got=str(self.cut)
            )
        layer = network.require(self.cut.sites[0].layer)
        shape = network.shapes[layer]
        factor = self.mask.reshape(shape).astype(np.float64)
        masked = f"{layer}_expert_{self.target}"
        nodes: list[Node] = []
        for node in network.nodes:
            sources = tuple(masked if s == layer else s for s in node.inputs)
            nodes.append(replace(node, inputs=sources))
            if node.name == layer:
                nodes.append(Node(masked, Scale(factor, np.zeros(shape)), (layer,)))
        if layer == INPUT:
            nodes.insert(0, Node(masked, Scale(factor, np.zeros(shape)), (INPUT,)))
        return replace(network, nodes=tuple(nodes), origin=f"{network.origin}, {masked}")

    def export(self, path: str | Path, input_shape: Sequence[int] | None = None) -> None:
        """Write the expert as ONNX."""
        from precond.formats.onnx.writer import write_onnx

        write_onnx(self.network(input_shape), path)


@dataclass(frozen=True)
class PrecisionRecall:
    """Of "class c" against the rest, with ``units`` kept."""

    precision: float
    recall: float
    units: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def _agreement(predicted: Bools, true: Bools, units: int) -> PrecisionRecall:
    both = int((predicted & true).sum())
    return PrecisionRecall(
        both / max(int(predicted.sum()), 1), both / max(int(true.sum()), 1), units
    )


def keep_extremes(scores: Array, share: float) -> Bools:
    """Mask of the ``share`` of units with the largest and smallest scores, half each.

    Where fewer than half are positive (or negative), the other sign fills the place.
    """
    if not 0 < share <= 1:
        raise QueryError("share of units", expected="in (0, 1]", got=str(share))
    require_finite("scores", scores)
    flat = scores.reshape(-1)
    count = max(2, math.ceil(share * flat.size))
    order = np.argsort(-flat, kind="stable")
    positive, negative = int((flat > 0).sum()), int((flat < 0).sum())
    top = min(positive, count - min(negative, count // 2))
    bottom = min(negative, count - top)
    mask = np.zeros(flat.size, dtype=np.bool_)
    mask[order[:top]] = True
    mask[order[flat.size - bottom :]] = True
    return mask.reshape(scores.shape)


def class_expert(
    cut: Slice,
    inputs: NDArray[np.floating],
    labels: NDArray[np.integer],
    target: int,
    share: float,
    *,
    ranking: Ranking = Ranking.INFLUENCE,
    quantity: Quantity | None = None,
    seed: int = 0,
) -> Expert:
    """An expert for class ``target`` that keeps ``share`` of the slice's units.

    Influence on ``quantity`` (None: the class score), over the inputs of the class; for
    comparison, the units with the largest mean activation on the class, or units drawn with
    ``seed``.
    """
    scores = _scores(cut, inputs, np.asarray(labels), target, ranking, quantity, seed)
    return Expert(cut, target, _mask(scores, share, ranking))


def _scores(
    cut: Slice,
    inputs: NDArray[np.floating],
    labels: NDArray[np.integer],
    target: int,
    ranking: Ranking,
    quantity: Quantity | None,
    seed: int,
) -> Array:
    """(*slice shape): by what units are ranked."""
    if ranking is Ranking.INFLUENCE:
        # Influence times mean activation would be attribution; the paper ranks by influence.
        chosen = class_score(target) if quantity is None else quantity
        found = influence(cut, chosen, ClassConditional(inputs, labels, target)).values
        return np.asarray(found[0])
    if not (labels == target).any():
        raise DataError(f"class {target}", expected="an input with that label", got="none")
    rows = np.flatnonzero(labels == target)
    require_finite("input", inputs[rows], rows)
    mean = np.asarray(values_at(cut, inputs[rows]).mean(0))
    if ranking is Ranking.ACTIVATION:
        return mean
    return np.random.default_rng(seed).permutation(mean.size).reshape(mean.shape).astype(float)


def _mask(scores: Array, share: float, ranking: Ranking) -> Bools:
    if ranking is Ranking.INFLUENCE:
        return keep_extremes(scores, share)
    if not 0 < share <= 1:
        raise QueryError("share of units", expected="in (0, 1]", got=str(share))
    count = max(2, math.ceil(share * scores.size))
    mask = np.zeros(scores.size, dtype=np.bool_)
    mask[np.argsort(-scores.reshape(-1), kind="stable")[:count]] = True
    return mask.reshape(scores.shape)


@dataclass(frozen=True)
class ExpertRow:
    """One line of the comparison: means over the classes."""

    ranking: Ranking
    share: float
    precision: float
    recall: float
    f1: float


def compare_experts(
    cut: Slice,
    train: tuple[NDArray[np.floating], NDArray[np.integer]],
    test: tuple[NDArray[np.floating], NDArray[np.integer]],
    classes: Sequence[int],
    shares: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    quantity: Callable[[int], Quantity] | None = None,
) -> tuple[ExpertRow, ...]:
    """Experts of every class by each ranking, built on ``train`` and measured on ``test``.

    ``quantity`` of a class, for the ranking by influence; None: its score.
    """
    rows = []
    inputs, labels = test[0], np.asarray(test[1])
    values = values_at(cut, inputs)
    for ranking in Ranking:
        scores = {
            c: _scores(
                cut,
                train[0],
                np.asarray(train[1]),
                c,
                ranking,
                None if quantity is None else quantity(c),
                c,
            )
            for c in classes
        }
        for share in shares:
            found = []
            for c in classes:
                mask = _mask(scores[c], share, ranking)
                said = outputs_from(cut, inputs, values * mask).argmax(1) == c
                found.append(_agreement(said, labels == c, int(mask.sum())))
            rows.append(
                ExpertRow(
                    ranking,
                    share,
                    float(np.mean([one.precision for one in found])),
                    float(np.mean([one.recall for one in found])),
                    float(np.mean([one.f1 for one in found])),
                )
            )
    return tuple(rows)
