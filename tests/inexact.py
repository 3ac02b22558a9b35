"""Random ONNX networks full of constants that no float holds, and their values in fractions.

Every step is written twice: as nodes of the file, and as arithmetic on fractions by the
definition of the operators, which shares nothing with the readers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Vector = list[Fraction]
DIVISORS = (3, 5, 7, 10, 11, 13, 49, 98, 103, 1000)
EPSILON = float(np.float32(1e-5))


@dataclass
class Made:
    """A file's nodes and constants, and the same function on fractions."""

    rng: np.random.Generator
    width: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    steps: list[Callable[[Vector], Vector]] = field(default_factory=list)
    at: str = "x"
    inputs: int = 0
    positive: bool = False

    def __post_init__(self) -> None:
        self.inputs = self.width

    def constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype=np.float32)
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def draw(self, *shape: int) -> np.ndarray:
        values = self.rng.integers(-8, 9, shape) / 4
        return (np.abs(values) if self.positive else values).astype(np.float32)

    def divisors(self, count: int) -> np.ndarray:
        return self.rng.choice(DIVISORS, count).astype(np.float32)

    def value(self, x: Vector) -> Vector:
        for step in self.steps:
            x = step(x)
        return x

    def save(self, path: Path) -> Path:
        shape = [1, self.inputs]
        final = helper.make_node("Identity", [self.at], ["y"])
        graph = helper.make_graph(
            [*self.nodes, final],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        imports = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), str(path))
        return path


def fractions(values: np.ndarray) -> Any:
    return np.array([Fraction(float(v)) for v in values.reshape(-1)], dtype=object).reshape(
        values.shape
    )


def division(made: Made) -> None:
    """x / d."""
    given = made.divisors(made.width)
    made.at = made.node("Div", [made.at, made.constant(given)])
    made.steps.append(lambda x: [a / d for a, d in zip(x, fractions(given), strict=True)])


def folded_weights(made: Made) -> None:
    """x (W / d) + b · c, with W / d and b · c constants of the file."""
    width = int(made.rng.integers(1, 4))
    weight, shift = made.draw(made.width, width), made.draw(width)
    divisor = made.divisors(width)
    scale = (made.rng.integers(1, 100, width) / np.float32(10)).astype(np.float32)
    matrix = made.node("Div", [made.constant(weight), made.constant(divisor)])
    bias = made.node("Mul", [made.constant(shift), made.constant(scale)])
    product = made.node("MatMul", [made.at, matrix])
    made.at = made.node("Add", [product, bias])
    w = fractions(weight) / fractions(divisor)
    b = fractions(shift) * fractions(scale)
    made.steps.append(lambda x: list(np.array(x, dtype=object) @ w + b))
    made.width = width


def gemm(made: Made) -> None:
    """α x W + β c, with α and β that make products round."""
    width = int(made.rng.integers(1, 4))
    weight, shift = made.draw(made.width, width) / 3, made.draw(width) / 7
    alpha, beta = 0.1, 0.3
    names = [made.at, made.constant(weight), made.constant(shift)]
    made.at = made.node("Gemm", names, alpha=alpha, beta=beta)
    w = fractions(weight.astype(np.float32)) * Fraction(float(np.float32(alpha)))
    b = fractions(shift.astype(np.float32)) * Fraction(float(np.float32(beta)))
    made.steps.append(lambda x: list(np.array(x, dtype=object) @ w + b))
    made.width = width


def relu(made: Made) -> None:
    made.at = made.node("Relu", [made.at])
    made.steps.append(lambda x: [max(a, Fraction(0)) for a in x])


def mean(made: Made) -> None:
    """The mean, then spread again by a matrix of ones and twos."""
    count = made.width
    made.at = made.node("ReduceMean", [made.at], axes=[1], keepdims=1)
    made.steps.append(lambda x: [sum(x, Fraction(0)) / count])
    made.width = 1


def roots(made: Made) -> None:
    """Batch normalisation, with roots to some 300 bits."""
    names, gain = [], np.abs(made.draw(made.width)) + 1
    shift, centre = made.draw(made.width), made.draw(made.width)
    spread = made.rng.integers(1, 50, made.width).astype(np.float32)
    names = [made.constant(v) for v in (gain, shift, centre, spread)]
    made.at = made.node("BatchNormalization", [made.at, *names])
    scale = [
        g / root(v + Fraction(EPSILON))
        for g, v in zip(fractions(gain), fractions(spread), strict=True)
    ]
    middle, bias = fractions(centre), fractions(shift)
    made.steps.append(
        lambda x: [(a - m) * s + c for a, m, s, c in zip(x, middle, scale, bias, strict=True)]
    )


def root(value: Fraction) -> Fraction:
    return Fraction(math.isqrt(int(value * 4**300)), 2**300)


RATIONAL = (division, folded_weights, gemm, mean)
EVERY = (*RATIONAL, roots)


def made(rng: np.random.Generator, *, rational: bool, positive: bool = False) -> Made:
    """A random network of a few such steps with ReLUs between; ``positive``: monotone."""
    network = Made(rng, int(rng.integers(1, 4)), positive=positive)
    kinds = RATIONAL if rational else EVERY
    for _ in range(int(rng.integers(1, 4))):
        kinds[int(rng.integers(len(kinds)))](network)
        if rng.random() < 0.8:
            relu(network)
    if len(network.steps) == 1 or all(s.__name__ == "relu" for s in network.steps):
        folded_weights(network)
        relu(network)
    return network
