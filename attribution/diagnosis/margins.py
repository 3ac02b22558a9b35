"""How far the boundary is in a subspace (Ortiz-Jimenez, Modas, Moosavi, Frossard 2020, "Hold me
tight! Influence of discriminative features on deep network boundaries", §2).

For an input x of class l and a subspace S, the margin is

    δ_S(x) = min ‖δ‖₂  over δ ∈ S with another class at x + δ

DeepFool (Moosavi-Dezfooli, Fawzi, Frossard 2016) looks for it in S: with P the projection on S, it
steps to the boundary of the linearised network that is nearest in S, the class j of the smallest
|f_j − f_l| / ‖P ∇(f_j − f_l)‖₂, until the class changes.  Bisection along the straight line to
that point then finds where it changes first.  What comes out is a perturbation that was seen to
change the class: an **upper bound** of the margin, and the margin itself for a linear network of
two classes, |w·x + b| / ‖P w‖₂.  ``inf`` says that none was found, not that there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.diagnosis.class_scores import scores_module
from attribution.diagnosis.subspaces import Subspace
from attribution.gradients import Kernel
from attribution.inputs import Inputs
from attribution.model import place_of, type_of, undisturbed
from attribution.quantities import class_score
from attribution.slices import flat_output, run
from precond.errors import DataError
from precond.network.graph import Network

Array = NDArray[np.float64]
STEPS = 50
OVERSHOOT = 0.02
HALVINGS = 40
ROWS = 64


@dataclass(frozen=True, eq=False)
class SubspaceMargins:
    """``sizes`` (S, N): the ℓ2 size of the smallest change found in each of S subspaces for each
    input, ``inf`` where none was found; ``predicted`` (N,): the class of each input."""

    subspaces: tuple[str, ...]
    sizes: Array
    predicted: NDArray[np.int64]

    @property
    def medians(self) -> Array:
        """Median over the inputs (S,)."""
        return np.median(self.sizes, axis=1)


@dataclass(frozen=True, eq=False)
class _BoundarySearch:
    """One subspace and some inputs; a point is x + a·B for coordinates a (b, k)."""

    model: nn.Module
    inputs: Inputs
    basis: Tensor

    @property
    def start(self) -> Tensor:
        (value,) = self.inputs.floats.values()
        return value

    def points(self, rows: Tensor, coordinates: Tensor) -> Tensor:
        moved = (coordinates @ self.basis).to(self.start.dtype)
        return self.start[rows] + moved.reshape(len(rows), *self.start.shape[1:])

    def scores(self, rows: Tensor, coordinates: Tensor) -> Tensor:
        (name,) = self.inputs.floats
        points = {name: self.points(rows, coordinates)}
        with torch.no_grad():
            output = run(self.model, self.inputs.take(rows).with_floats(points)).output
            return flat_output(output)

    def slopes(self, rows: Tensor, coordinates: Tensor, classes: int) -> Tensor:
        """Gradients of all scores in coordinates of the subspace, (b, K, k)."""
        (name,) = self.inputs.floats
        quantities = tuple(class_score(j) for j in range(classes))
        kernel = Kernel(self.model, self.inputs, (), leaves=(), quantities=quantities)
        points = {name: self.points(rows, coordinates)[:, None]}
        found = kernel.at(points, rows, lambda g: g.flatten(1).to(self.basis.dtype) @ self.basis.T)
        return found.gradients[name].transpose(0, 1)

    def sizes(self, predicted: Tensor, classes: int) -> Tensor:
        """The smallest change found for each input, (b,)."""
        every = torch.arange(len(predicted), device=predicted.device)
        coordinates = self.basis.new_zeros(len(every), len(self.basis))
        left = every
        for _ in range(STEPS):
            step = self._step(left, coordinates[left], predicted[left], classes=classes)
            coordinates[left] = coordinates[left] + step
            same = self.scores(left, coordinates[left]).argmax(1) == predicted[left]
            left = left[same & (step != 0).any(1)]
            if not len(left):
                break
        changed = self.scores(every, coordinates).argmax(1) != predicted
        result = coordinates.new_full((len(every),), torch.inf)
        rows = every[changed]
        if len(rows):
            result[rows] = self._bisected(rows, coordinates[rows], predicted[rows])
        return result

    def _step(self, rows: Tensor, coordinates: Tensor, predicted: Tensor, classes: int) -> Tensor:
        """To the nearest linearised boundary, and a little beyond (b, k)."""
        scores = self.scores(rows, coordinates).to(self.basis.dtype)
        slopes = self.slopes(rows, coordinates, classes)
        own = predicted[:, None]
        gaps = (scores - scores.gather(1, own)).abs()
        index = own[:, :, None].expand(-1, 1, slopes.shape[2])
        directions = slopes - slopes.gather(1, index)
        lengths: Tensor = directions.norm(dim=2)
        distances = torch.where(lengths > 0, gaps / lengths.clamp(min=1e-300), torch.inf)
        nearest = distances.scatter(1, own, torch.inf).argmin(1)
        each = torch.arange(len(rows), device=rows.device)
        distance, length = distances[each, nearest], lengths[each, nearest]
        unit = directions[each, nearest] / length.clamp(min=1e-300)[:, None]
        reach = torch.where(distance.isfinite(), distance * (1 + OVERSHOOT) + 1e-9, 0.0)
        return reach[:, None] * unit

    def _bisected(self, rows: Tensor, coordinates: Tensor, predicted: Tensor) -> Tensor:
        low, high = coordinates.new_zeros(len(rows)), coordinates.new_ones(len(rows))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            other = self.scores(rows, coordinates * middle[:, None]).argmax(1) != predicted
            low, high = torch.where(other, low, middle), torch.where(other, middle, high)
        lengths: Tensor = coordinates.norm(dim=1)
        return high * lengths


def subspace_margins(
    model: nn.Module | Network,
    inputs: NDArray[np.floating],
    subspaces: Sequence[Subspace],
    *,
    done: Callable[[], None] = lambda: None,
) -> SubspaceMargins:
    """The smallest change of class found in each subspace for each of ``inputs`` (N, …)."""
    if not subspaces:
        raise DataError("subspaces", expected="one or more", got="none")
    module = scores_module(model)
    size = int(np.prod(inputs.shape[1:]))
    for one in subspaces:
        if one.basis.shape[1] != size:
            raise DataError(
                f"basis of {one.name}", expected=f"{size} inputs", got=str(one.basis.shape[1])
            )
    classes: list[Tensor] = []
    found: list[list[Tensor]] = [[] for _ in subspaces]
    with undisturbed(module):
        for start in range(0, len(inputs), ROWS):
            part = Inputs.read(
                inputs[start : start + ROWS],
                device=place_of(module),
                dtype=type_of(module),
                first=start,
            )
            with torch.no_grad():
                scores = flat_output(run(module, part).output)
            predicted = scores.argmax(1)
            classes.append(predicted)
            for place, one in enumerate(subspaces):
                basis = torch.as_tensor(one.basis, device=predicted.device)
                found[place].append(
                    _BoundarySearch(module, part, basis).sizes(predicted, scores.shape[1])
                )
                done()
    sizes = torch.stack([torch.cat(each) for each in found])
    return SubspaceMargins(
        subspaces=tuple(one.name for one in subspaces),
        sizes=np.asarray(sizes.double().cpu().numpy()),
        predicted=np.asarray(torch.cat(classes).cpu().numpy()),
    )


def joined_margins(parts: Sequence[SubspaceMargins]) -> SubspaceMargins:
    """Margins of several groups of inputs in the same subspaces, as of one group."""
    if len({one.subspaces for one in parts}) != 1:
        raise DataError("margins to join", expected="the same subspaces in all", got="others")
    return SubspaceMargins(
        subspaces=parts[0].subspaces,
        sizes=np.concatenate([one.sizes for one in parts], axis=1),
        predicted=np.concatenate([one.predicted for one in parts]),
    )
