"""Stanford ``.nnet`` text file (github.com/sisl/NNet) → ``Network``.

After comment lines (``//``) come: layers, inputs, outputs, widest layer; the layer sizes; an
unused flag; minima and maxima of the inputs; means and ranges of the inputs, each with one
value more for all outputs; then, layer by layer, the weight rows and the biases.

The network read here takes raw inputs and gives raw outputs:
``y = net((x − mean) / range) · output_range + output_mean``.  Tools that run such networks
clip inputs to [minimum, maximum] first; that is not part of the network here, since a
property's input box says where it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import basic as lowering
from precond.formats.lowering.builder import NetworkBuilder
from precond.formats.lowering.interface import InputShape, output_names, shapes_by_name
from precond.network.graph import Network
from precond.network.layers import Affine, Array, ReLU


def read_nnet(
    path: Path, input_shape: InputShape | None = None, output: str | None = None
) -> Network:
    """The network in a ``.nnet`` file, with its normalisation; ReLU layers are relu1, relu2, …"""
    rows = _rows(path)
    header = _whole(_take(rows, path, "the header"), path, "header")
    if len(header) < 3 or header[0] < 1:
        raise ModelError(
            f"{path}: header", expected="layers, inputs, outputs, width", got=str(header)
        )
    layers, inputs, outputs = header[:3]
    sizes = _whole(_take(rows, path, "the layer sizes"), path, "layer sizes")
    if len(sizes) != layers + 1 or sizes[0] != inputs or sizes[-1] != outputs or min(sizes) < 1:
        raise ModelError(
            f"{path}: layer sizes",
            expected=f"{layers + 1} sizes from {inputs} to {outputs}",
            got=str(sizes),
        )
    for name in ("the flag", "the input minima", "the input maxima"):
        _take(rows, path, name)
    means = _take(rows, path, "the means", width=inputs + 1)
    ranges = _take(rows, path, "the ranges", width=inputs + 1)
    if (ranges == 0.0).any():
        raise ModelError(f"{path}: ranges", expected="numbers other than 0", got="0")
    output_names(["output"], output, str(path))
    (given,) = shapes_by_name(input_shape, ["input"], str(path)).values()
    shape = (inputs,) if given is None else given
    if shape != (inputs,):
        raise ModelError(f"{path}: input_shape", expected=str((inputs,)), got=str(shape))
    builder = NetworkBuilder(str(path), shape, batched=True, open_batch=True)
    try:
        value = lowering.add(builder, builder.input, -means[:-1])
        with np.errstate(over="ignore"):
            value = lowering.divide(builder, value, ranges[:-1])
    except ModelError as error:
        raise ModelError(f"{path}: means and ranges: {error}") from error
    for layer in range(layers):
        place = f"the weights of layer {layer + 1}"
        weight = [_take(rows, path, place, width=sizes[layer]) for _ in range(sizes[layer + 1])]
        place = f"the biases of layer {layer + 1}"
        bias = [_take(rows, path, place, width=1) for _ in range(sizes[layer + 1])]
        try:
            value = builder.emit(Affine(np.stack(weight), np.concatenate(bias)), [value])
        except ModelError as error:
            raise ModelError(f"{path}: layer {layer + 1}: {error}") from error
        if layer + 1 < layers:
            value = builder.emit(ReLU(), [value])
    try:
        return builder.finish(lowering.scale(builder, value, ranges[-1], shift=means[-1]))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _whole(values: Array, path: Path, what: str) -> list[int]:
    """Counts; ModelError for fractions."""
    if (values != np.floor(values)).any() or (np.abs(values) > 2**31).any():
        raise ModelError(f"{path}: {what}", expected="whole numbers", got=str(values.tolist()[:8]))
    return [int(value) for value in values]


def _rows(path: Path) -> Iterator[tuple[int, Array]]:
    """Lines of numbers, with their line numbers."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}", expected="a text file", got="other bytes") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip().rstrip(",")
        if not text or text.startswith("//"):
            continue
        try:
            yield number, np.array([float(item) for item in text.split(",")])
        except ValueError as error:
            raise ModelError(
                f"{path}, line {number}", expected="numbers between commas", got=text[:60]
            ) from error


def _take(
    rows: Iterator[tuple[int, Array]], path: Path, what: str, width: int | None = None
) -> Array:
    number, row = next(rows, (0, np.empty(0)))
    if number == 0:
        raise ModelError(f"{path}", expected=what, got="the end of the file")
    if not np.isfinite(row).all():
        raise ModelError(f"{path}, line {number}", expected="finite numbers", got="NaN or infinity")
    if width is not None and len(row) != width:
        raise ModelError(
            f"{path}, line {number}: {what}", expected=f"{width} numbers", got=str(len(row))
        )
    return row
