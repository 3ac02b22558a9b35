"""Batched forward evaluation of a network: outputs, pre-activations, slices.

Arrays in, arrays out; the work runs in torch on the device asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from precond.basics.arguments import numbers, require_kind
from precond.errors import DataError
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d, ReLU
from precond.network.operators import Operators, operators

BATCH_BYTES = 64 << 20  # activations kept at once, roughly


def forward(
    ops: Operators, values: Mapping[str, Tensor], wanted: Sequence[str]
) -> dict[str, Tensor]:
    """Values of ``wanted`` nodes, given the values at one or more nodes (usually ``input``).

    Nodes that ``wanted`` does not need are not computed, so that giving the value at a
    layer and asking for the output evaluates the slice g of y = g(h(x)).
    """
    network = ops.network
    known = dict(values)
    needed: set[str] = set()
    stack = [name for name in wanted if name not in known]
    while stack:
        name = stack.pop()
        if name in needed:
            continue
        if name == INPUT:
            raise DataError("slice", expected="values at every input of the slice", got="none")
        needed.add(name)
        stack.extend(s for s in network.node[name].inputs if s not in known)
    last_use: dict[str, int] = {}
    order = [node for node in network.nodes if node.name in needed]
    for position, node in enumerate(order):
        for source in node.inputs:
            last_use[source] = position
    kept = set(wanted)
    for position, node in enumerate(order):
        sources = [known[source] for source in node.inputs]
        match node.layer:
            case ReLU():
                known[node.name] = F.relu(sources[0])
            case LeakyReLU(slope):
                known[node.name] = F.leaky_relu(sources[0], slope)
            case MaxPool2d():
                known[node.name] = max_pool(node.layer, sources[0], ops.windows[node.name])
            case _:
                known[node.name] = ops.affine[node.name].apply(sources)
        for source in node.inputs:
            if last_use[source] == position and source not in kept:
                known.pop(source, None)
    return {name: known[name] for name in wanted}


def max_pool(layer: MaxPool2d, value: Tensor, windows: Tensor | None) -> Tensor:
    """Window maxima of (N, C, H, W) values; ``windows`` (``layer.windows``) are needed only in
    ceil mode.  Of equal members the first has the gradient."""
    if not layer.ceil_mode:
        top, left, bottom, right = layer.padding
        if any(layer.padding):
            value = F.pad(value, (left, right, top, bottom), value=-torch.inf)
        return F.max_pool2d(value, layer.kernel, layer.stride, 0, layer.dilation)
    # Explicit padding would let a window begin in the trailing padding.
    assert windows is not None
    shape = layer.output_shape([value.shape[1:]])
    gathered = value.flatten(1)[:, windows.clamp(min=0)].masked_fill(windows < 0, -torch.inf)
    return gathered.max(-1).values.reshape(value.shape[0], *shape)


def check_inputs(network: Network, inputs: NDArray[np.floating]) -> NDArray[np.floating]:
    """``inputs`` as (N, *input shape), or an error that says what does not fit."""
    require_kind("network", network, Network, fix="load(model, input_shape) gives one")
    try:
        array = np.asarray(inputs)
    except ValueError:
        array = numbers("inputs", inputs)
    if array.dtype.kind not in "fiub":
        raise DataError("inputs", expected="numbers", got=str(array.dtype))
    if array.ndim < 2 or int(np.prod(array.shape[1:])) != network.input_size:
        raise DataError(
            f"inputs for {network.origin}",
            expected=f"rows of {network.input_size} values",
            got=f"an array of shape {array.shape}",
            fix="Give one row per input",
        )
    return array.reshape(array.shape[0], *network.input_shape)


def iterate(
    network: Network,
    inputs: NDArray[np.floating],
    wanted: Sequence[str],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    batch: int | None = None,
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """Values of ``wanted`` nodes batch by batch: (rows, {name: (rows, *shape)})."""
    array = check_inputs(network, inputs)
    ops = operators(network, device, dtype)
    if batch is None:
        widest = max(int(np.prod(shape)) for shape in network.shapes.values())
        kept = sum(network.width(name) for name in wanted)
        batch = max(1, min(len(array), BATCH_BYTES // (8 * (2 * widest + kept))))
    for start in range(0, len(array), batch):
        rows = slice(start, min(start + batch, len(array)))
        part = torch.as_tensor(np.require(array[rows], requirements=["C", "W"]), device=device).to(
            dtype
        )
        finite = torch.isfinite(part).flatten(1)
        if not bool(finite.all()):
            row, column = divmod(int(finite.reshape(-1).to(torch.uint8).argmin()), finite.shape[1])
            raise DataError(
                f"inputs, row {start + row}, column {column} (counted from 0)",
                expected="finite numbers",
                got=f"{float(part.flatten(1)[row, column])} in {str(dtype).removeprefix('torch.')}",
            )
        with torch.no_grad():
            yield rows, forward(ops, {INPUT: part}, wanted)


def values_at(
    network: Network,
    inputs: NDArray[np.floating],
    name: str,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> NDArray[np.float64]:
    """Flat values (N, width) of one node for every input."""
    array = check_inputs(network, inputs)
    result = np.empty((len(array), network.width(name)), dtype=np.float64)
    for rows, found in iterate(network, array, [name], device=device, dtype=dtype):
        result[rows] = found[name].reshape(len(found[name]), -1).cpu().numpy()
    return result


def outputs(
    network: Network,
    inputs: NDArray[np.floating],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> NDArray[np.float64]:
    """Outputs (N, K) for inputs (N, …)."""
    return values_at(network, inputs, network.output, device=device, dtype=dtype)
