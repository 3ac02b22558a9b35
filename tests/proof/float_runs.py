"""Runs of a small network in float32 with chosen orders of sums, and a search for the worst.

``Runner.run`` computes every affine value as a sum of rounded products and takes, among many
orders (random, reversed, by size, positive first, in pairs, in blocks, fused), the result that
lies furthest in a wanted direction.  ``worst`` looks for an input and directions that make a
linear form of the outputs least; directions follow the sign of its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d, ReLU
from precond.network.operators import operators
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

F = np.float32
FREE = DecisionPattern()
Array = NDArray[np.float64]
Array32 = NDArray[np.float32]


def fold(parts: Array32) -> Array32:
    """Left to right along the first axis."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def pairs(parts: Array32) -> Array32:
    """Neighbours first, then their sums."""
    while len(parts) > 1:
        odd = parts[len(parts) // 2 * 2 :]
        parts = np.concatenate([parts[0:-1:2] + parts[1::2], odd])
    return parts[0]


def blocks(parts: Array32, lanes: int) -> Array32:
    """``lanes`` running sums, as SIMD instructions keep them, then the sum of those."""
    return fold(np.stack([fold(parts[k::lanes]) for k in range(min(lanes, len(parts)))]))


def fused(weights: Array32, values: Array32, bias: Array32) -> Array32:
    """Left to right from the bias, each product added before it is rounded."""
    total = bias
    for weight, value in zip(weights, values, strict=True):
        exact = weight.astype(np.float64) * value.astype(np.float64)
        total = (exact + total.astype(np.float64)).astype(F)
    return total


def sums(weight: Array32, bias: Array32, x: Array32, rng: np.random.Generator) -> Array32:
    """W x + b for W (m, n) in many orders, (orders, m)."""
    products = (weight * x).T  # (n, m), each rounded
    parts = np.concatenate([products, bias[None]])
    every = [fold(parts), fold(parts[::-1]), pairs(parts), blocks(parts, 4), blocks(parts, 8)]
    by_size = np.take_along_axis(parts, np.abs(parts).argsort(0), 0)
    by_value = np.take_along_axis(parts, parts.argsort(0), 0)
    for ordered in (by_size, by_size[::-1], by_value, by_value[::-1]):
        every += [fold(ordered), pairs(ordered)]
    for _ in range(6):
        order = rng.permutation(len(parts))
        every += [fold(parts[order]), pairs(parts[order])]
        inner = rng.permutation(weight.shape[1])
        every.append(fused(weight.T[inner], np.broadcast_to(x[inner, None], weight.T.shape), bias))
    return np.stack(every)


@dataclass(frozen=True, eq=False)
class Runner:
    """``pattern``: of the computed signs, which runs must have to count."""

    network: Network
    pattern: DecisionPattern = FREE

    @cached_property
    def matrices(self) -> dict[str, tuple[Array32, Array32]]:
        """Weights (m, n) over the joined inputs of every affine node, and constants (m,)."""
        ops = operators(self.network, "cpu", torch.float64)
        found = {}
        for name, operator in ops.affine.items():
            width = self.network.width(name)
            rows = torch.eye(width, dtype=torch.float64).reshape(width, *operator.output)
            parts = [part.flatten(1) for part in operator.transpose(rows)]
            bias = operator.bias_dot(rows)
            found[name] = (torch.cat(parts, 1).numpy().astype(F), bias.numpy().astype(F))
        return found

    def run(
        self, x: Array32, wanted: dict[str, Array], rng: np.random.Generator
    ) -> dict[str, Array32]:
        """Values of all nodes, each as far as it can lie in the direction ``wanted`` gives."""
        values: dict[str, Array32] = {INPUT: x.astype(F)}
        matrices = self.matrices
        for node in self.network.nodes:
            source = np.concatenate([values[name] for name in node.inputs])
            match node.layer:
                case ReLU():
                    values[node.name] = np.maximum(source, F(0))
                case LeakyReLU(slope):
                    values[node.name] = np.where(source > 0, source, source * F(slope))
                case MaxPool2d():
                    windows = node.layer.windows(self.network.shapes[node.inputs[0]])
                    padded = np.where(windows < 0, F(-np.inf), source[windows])
                    values[node.name] = padded.max(1)
                case _:
                    found = sums(*matrices[node.name], source, rng)
                    pick = (found * np.sign(wanted[node.name])).argmax(0)
                    values[node.name] = found[pick, np.arange(found.shape[1])]
        return values

    def slopes(self, x: Array32, form: Array) -> tuple[dict[str, Array], Array]:
        """Gradient of ``form · y`` by every affine value and by the input, at x."""
        ops = operators(self.network, "cpu", torch.float64)
        start = torch.tensor(x.astype(np.float64)[None], requires_grad=True)
        known = {INPUT: start.reshape(1, *self.network.input_shape)}
        names = [node.name for node in self.network.nodes]
        kept = forward(ops, known, names)
        total = (kept[names[-1]].flatten() * torch.tensor(form)).sum()
        affine = list(ops.affine)
        found = torch.autograd.grad(total, [start, *(kept[n] for n in affine)], allow_unused=True)
        zero = [torch.zeros_like(kept[n]) for n in affine]
        by_value = {
            n: (z if g is None else g).detach().flatten().numpy()
            for n, g, z in zip(affine, found[1:], zero, strict=True)
        }
        at_input = np.zeros(len(x)) if found[0] is None else found[0].detach().flatten().numpy()
        return by_value, at_input

    def least(self, x: Array32, form: Array, rng: np.random.Generator) -> float:
        """The least ``form · y`` (exact in float64 up to its own rounding) among runs at x."""
        slopes, _ = self.slopes(x, form)
        down = {name: -slope for name, slope in slopes.items()}
        values = self.run(x, down, rng)
        for layer, (low, high) in self.pattern.intervals(self.network).items():
            z = values[self.network.pre_activation(layer)]
            if ((z < low) | (z > high)).any():
                return np.inf  # this run does not have the pattern
        return float(form @ values[self.network.output].astype(np.float64))

    def worst(
        self, box: Box, form: Array, rng: np.random.Generator, starts: int = 4, steps: int = 12
    ) -> tuple[float, Array32]:
        """The least ``form · y`` that a search finds, and its float32 input in the box."""
        best, where = np.inf, np.zeros(box.size, F)
        width = box.upper - box.lower
        for _ in range(starts):
            x = rng.uniform(box.lower, box.upper)
            for step in range(steps):  # signed gradient, ever smaller steps
                _, slope = self.slopes(inside(x, box), form)
                x = np.clip(x - np.sign(slope) * width * 0.5 ** (step + 1), box.lower, box.upper)
            point = inside(x, box)
            for turn in range(6):  # neighbours, by few units in the last place
                value = self.least(point, form, rng)
                if value < best:
                    best, where = value, point
                moved = where.astype(np.float64) * (1 + rng.integers(-4, 5, box.size) * 2.0**-23)
                point = inside(
                    moved if turn % 2 else x + rng.normal(size=box.size) * width * 1e-4, box
                )
        return best, where


def inside(x: Array, box: Box) -> Array32:
    """The nearest float32 numbers within the box."""
    point = np.clip(x, box.lower, box.upper).astype(F)
    point = np.where(point < box.lower, np.nextafter(point, F(np.inf)), point)
    return np.where(point > box.upper, np.nextafter(point, F(-np.inf)), point).astype(F)
