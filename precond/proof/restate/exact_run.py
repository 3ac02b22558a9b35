"""Whether a run in floats rounds nothing, so that it is the real network, whatever the order.

Two cases.  No layer can round (moves, changes of sign, doubling), over any box.  Or the box is
one point and every sum is one of multiples of some 2^g, the absolute values of which add up to
less than 2^(g+p), p the bits of the format's significand: then every partial sum, in any
order, is a number of the format.  Ties that rest on such sums are ties in floats too.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, Node
from precond.network.operators import Operators, operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.execution import is_held, roundings
from precond.region.box import Box

BITS = {Arithmetic.FLOAT64: 53, Arithmetic.FLOAT32: 24}
LEAST = {Arithmetic.FLOAT64: -1074, Arithmetic.FLOAT32: -149}
FACTORS = ("weight", "factor", "scale", "coefficients")
TERMS = ("bias", "shift", "fill")


def runs_exactly(network: Network, box: Box, execution: Arithmetic) -> bool:
    """Whether every run on inputs of the box computes the real values."""
    if execution is Arithmetic.REAL:
        return True
    leaky = any(isinstance(node.layer, LeakyReLU) for node in network.nodes)
    if not leaky and not roundings(network, "cpu", execution):
        return True
    return bool((box.lower == box.upper).all()) and _at(network, box.lower, execution)


def _at(network: Network, point: ArrayLike, execution: Arithmetic) -> bool:
    x = np.asarray(point, dtype=np.float64)
    if not is_held(x, execution).all():
        return False
    ops = operators(network, "cpu", torch.float64)
    known = {INPUT: torch.tensor(x.reshape(1, *network.input_shape))}
    values = known | forward(ops, known, [node.name for node in network.nodes])
    return all(_sums_exactly(ops, node, values, execution=execution) for node in network.nodes)


def _sums_exactly(
    ops: Operators, node: Node, values: dict[str, torch.Tensor], execution: Arithmetic
) -> bool:
    """The values given are exact where all nodes before pass."""
    sources = [values[name] for name in node.inputs]
    numbers = np.concatenate([source.numpy().reshape(-1) for source in sources])
    factors = _constants(node, FACTORS)
    if isinstance(node.layer, LeakyReLU):
        factors = np.array([node.layer.slope])
    elif node.name not in ops.affine:
        return True
    terms = _constants(node, TERMS)
    held = is_held(factors, execution).all() and is_held(terms, execution).all()
    if not held or node.name in ops.deviation:
        return False
    grain = min(_grain(numbers) + min(_grain(factors), 0), _grain(terms))
    if isinstance(node.layer, LeakyReLU):
        size = float(np.abs(numbers).max(initial=0.0))
    else:
        reach = [source.abs() for source in sources]
        size = float(ops.absolute[node.name].apply(reach).max())
    # A sum computed beyond 2^most may round down to it, but never below; hence strictly less.
    most = min(grain + BITS[execution], 1023)
    return grain >= LEAST[execution] and size < 2.0**most


def _constants(node: Node, names: tuple[str, ...]) -> np.ndarray:
    every = [np.ravel(getattr(node.layer, name)) for name in names if hasattr(node.layer, name)]
    return np.concatenate([np.zeros(0), *every]).astype(np.float64)


def _grain(values: np.ndarray) -> int:
    """The largest g for which all values are multiples of 2^g; 1023 for zeros alone."""
    used = values[values != 0.0]
    if not used.size:
        return 1023
    mantissa, exponent = np.frexp(used)
    whole = np.abs(mantissa * 2.0**53).astype(np.int64)
    lowest = (whole & -whole).astype(np.float64)  # a power of two
    return int((exponent - 53 + np.log2(lowest).astype(np.int64)).min())
