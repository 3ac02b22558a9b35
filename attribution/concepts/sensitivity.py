"""Conceptual sensitivity S(x) = ∇h_k(f(x)) · v (Kim et al. 2018, §3.3).

f is the network up to a slice, h_k the logit of class k from there, v a vector at the slice.  All
vectors share one gradient of each input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.gradients import Kernel
from attribution.inputs import Inputs, array_rows, count_rows
from attribution.model import as_module, place_of, type_of, undisturbed
from attribution.quantities import Quantity, class_score
from attribution.slices import Slice, flat_output
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
ROWS = 256


def sensitivities(cut: Slice, inputs: Any, targets: Ints, vectors: Array) -> Array:
    """∇h_k(f(x)) · v, (N, M): of each input's own target class k, along ``vectors`` (M, d).

    h_k is a logit, also of a network that ends in a softmax; of one logit z, h_0 = −z/2, h_1 = z/2.
    """
    if len(cut.sites) > 1:
        raise QueryError("slice of a concept", expected="one layer", got=str(cut))
    if isinstance(cut.model, Network):
        cut = Slice(cut.model.logits, cut.layer, cut.pre, call=cut.call)
    model = as_module(cut.model)
    result = []
    with undisturbed(model):
        for start in range(0, count_rows(inputs), ROWS):
            rows = slice(start, start + ROWS)
            place, kind = place_of(model), type_of(model)
            part = Inputs.read(array_rows(inputs, rows), device=place, dtype=kind, first=start)
            quantity = _logit(cut, targets[rows])
            kernel = Kernel(model, part, cut.sites, leaves=cut.sites, quantities=(quantity,))
            every = slice(0, part.rows)
            points = {name: value[:, None] for name, value in kernel.values(every).items()}
            result.append(_products(kernel, points, every, vectors=vectors))
    return np.concatenate(result)


def _logit(cut: Slice, targets: Ints) -> Quantity:
    """The logit of each row's own class."""
    model = cut.model
    if not isinstance(model, Network) or not model.classes.binary:
        return class_score(targets)
    classes, own = model.classes, class_score(targets)
    return Quantity(
        name=own.name,
        score=lambda output, rows: own.score(classes.scores(flat_output(output)), rows),
    )


def _products(kernel: Kernel, points: Mapping[str, Tensor], rows: slice, vectors: Array) -> Array:
    (value,) = points.values()
    along = torch.as_tensor(vectors).to(value.device, value.dtype)
    if along.shape[1] != value[0, 0].numel():
        raise DataError("vectors", expected=f"{value[0, 0].numel()} units", got=str(along.shape[1]))

    def reduce(gradients: Tensor) -> Tensor:
        return gradients.flatten(1) @ along.T

    (found,) = kernel.at(dict(points), rows, reduce).gradients.values()
    return np.asarray(found[0].double().cpu().numpy())
