"""Affine operators: adjoint identity, torch modules, naive windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from precond.network.affine import AffineOperator
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    MaxPool2d,
    Node,
    Reshape,
    Scale,
    Select,
    Shape,
    Sum,
)
from precond.network.operators import affine_operator, operators

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


IMAGE = (4, 6, 5)
LAYERS: dict[str, tuple[Layer, list[Shape]]] = {
    "affine": (Affine(normal(3, 5), normal(3)), [(5,)]),
    "affine, leading axes": (Affine(normal(3, 5), normal(3)), [(2, 4, 5)]),
    "conv": (Conv2d(normal(3, 4, 3, 2), normal(3)), [IMAGE]),
    "conv, stride that leaves a rest": (
        Conv2d(normal(3, 4, 3, 2), normal(3), stride=(2, 3), padding=(0, 1, 0, 0)),
        [IMAGE],
    ),
    "conv, uneven padding": (
        Conv2d(normal(2, 4, 2, 2), normal(2), padding=(3, 0, 1, 2)),
        [IMAGE],
    ),
    "conv, dilation": (Conv2d(normal(2, 4, 2, 3), normal(2), dilation=(3, 2)), [IMAGE]),
    "conv, groups": (
        Conv2d(normal(6, 2, 2, 2), normal(6), stride=(2, 2), groups=2),
        [IMAGE],
    ),
    "conv, depthwise": (Conv2d(normal(4, 1, 3, 3), normal(4), groups=4), [IMAGE]),
    "scale": (Scale(normal(4, 1, 1), normal(5)), [IMAGE]),
    "scale, numbers": (Scale(normal(), normal()), [(7,)]),
    "reshape": (Reshape((8, 15)), [IMAGE]),
    "select": (Select(np.array([0, 0, 3, 1]), (2, 2)), [(5,)]),
    "select with fill": (Select(np.array([-1, 2, -1, 0, 2]), (5,), 1.5), [(3,)]),
    "sum": (Sum((0, 2), False, 0.5), [IMAGE]),
    "sum, kept": (Sum((1,), True), [IMAGE]),
    "sum of all": (Sum((0, 1, 2), True, -2.0), [IMAGE]),
    "add": (Add((1.0, -2.0, 0.5)), [(2, 3), (2, 3), (2, 3)]),
    "concat": (Concat(1), [(2, 3, 2), (2, 1, 2), (2, 4, 2)]),
}


def operator(name: str) -> tuple[AffineOperator, list[Shape], Shape]:
    layer, shapes = LAYERS[name]
    output = layer.output_shape(shapes)
    found = affine_operator(layer, shapes, output, torch.device("cpu"), torch.float64)
    assert found is not None
    return found, shapes, output


def tensors(shapes: list[Shape], batch: int = 4) -> list[Tensor]:
    return [torch.tensor(normal(batch, *shape)) for shape in shapes]


def dots(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).flatten(1).sum(1)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_adjoint(name: str) -> None:
    """form · (L x + b) = Σ Lᵀ(form) · x + form · b."""
    layer, shapes, output = operator(name)
    values, (form,) = tensors(shapes), tensors([output])
    back = layer.transpose(form)
    assert [tuple(part.shape[1:]) for part in back] == shapes
    forward = dots(form, layer.apply(values))
    backward = sum(dots(b, v) for b, v in zip(back, values, strict=True)) + layer.bias_dot(form)
    torch.testing.assert_close(forward, backward, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_absolute_has_the_absolute_matrix(name: str) -> None:
    """Column by column: |L| e_j = |L e_j| and |b|."""
    layer, shapes, _ = operator(name)
    absolute = layer.absolute()
    zeros = [torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes]
    torch.testing.assert_close(absolute.apply(zeros), layer.apply(zeros).abs())
    for position, shape in enumerate(shapes):
        size = math.prod(shape)
        units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
        values = [
            units if i == position else zero.expand(size, *zero.shape[1:])
            for i, zero in enumerate(zeros)
        ]
        want = layer.apply(values, bias=False).abs()
        torch.testing.assert_close(absolute.apply(values, bias=False), want)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_bias_is_what_zero_gives(name: str) -> None:
    layer, shapes, _ = operator(name)
    values = tensors(shapes)
    zeros = [torch.zeros_like(value) for value in values]
    both = layer.apply(values)
    parts = layer.apply(values, bias=False) + layer.apply(zeros)
    torch.testing.assert_close(both, parts)
    assert not layer.apply(zeros, bias=False).any()


def copied(module: nn.Linear | nn.Conv2d, weight: np.ndarray, bias: np.ndarray) -> nn.Module:
    module = module.double()
    assert module.bias is not None
    module.weight.data = torch.tensor(weight)
    module.bias.data = torch.tensor(bias)
    return module


def test_affine_is_linear() -> None:
    layer, _ = LAYERS["affine, leading axes"]
    assert isinstance(layer, Affine)
    module = copied(nn.Linear(5, 3), layer.weight, layer.bias)
    (value,) = tensors([(2, 4, 5)])
    torch.testing.assert_close(operator("affine, leading axes")[0].apply([value]), module(value))


@pytest.mark.parametrize("name", sorted(name for name in LAYERS if name.startswith("conv")))
def test_conv_is_conv2d(name: str) -> None:
    layer, _ = LAYERS[name]
    assert isinstance(layer, Conv2d)
    top, left, bottom, right = layer.padding
    out, per_group, *kernel = layer.weight.shape
    module = nn.Sequential(
        nn.ZeroPad2d((left, right, top, bottom)),
        copied(
            nn.Conv2d(
                per_group * layer.groups,
                out,
                tuple(kernel),
                layer.stride,
                0,
                layer.dilation,
                layer.groups,
            ),
            layer.weight,
            layer.bias,
        ),
    )
    (value,) = tensors([IMAGE])
    torch.testing.assert_close(operator(name)[0].apply([value]), module(value))


def test_select_by_hand() -> None:
    layer, _, _ = operator("select with fill")
    value = torch.tensor([[10.0, 20.0, 30.0]], dtype=torch.float64)
    assert layer.apply([value]).tolist() == [[1.5, 30.0, 1.5, 10.0, 30.0]]
    form = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]], dtype=torch.float64)
    assert layer.transpose(form)[0].tolist() == [[4.0, 0.0, 7.0]]
    assert layer.bias_dot(form).tolist() == [6.0]


def test_sum_and_add_by_hand() -> None:
    value = torch.arange(6.0, dtype=torch.float64).reshape(1, 2, 3)
    total = affine_operator(
        Sum((1,), False, 0.5), [(2, 3)], (2,), torch.device("cpu"), torch.float64
    )
    assert total is not None
    assert total.apply([value]).tolist() == [[1.5, 6.0]]
    mixed, _, _ = operator("add")
    assert (mixed.apply([value, value, value]) == -0.5 * value).all()


POOLS = {
    "plain": MaxPool2d((2, 2), (2, 2)),
    "overlap": MaxPool2d((3, 2), (1, 1)),
    "padding": MaxPool2d((3, 3), (2, 2), (1, 1, 1, 1)),
    "uneven padding": MaxPool2d((3, 2), (2, 1), (2, 0, 1, 1)),
    "ceil": MaxPool2d((3, 3), (2, 2), ceil_mode=True),
    "ceil and padding": MaxPool2d((3, 3), (3, 3), (1, 1, 1, 1), ceil_mode=True),
    "dilation": MaxPool2d((2, 3), (1, 2), dilation=(3, 2)),
    "dilation, padding and ceil": MaxPool2d((2, 2), (2, 3), (1, 0, 0, 1), (2, 2), True),
    "window past the stride": MaxPool2d((2, 2), (3, 3)),
}
POOLED = (2, 7, 8)


def runtime_pool(pool: MaxPool2d, inputs: np.ndarray) -> np.ndarray:
    import onnxruntime
    from onnx import TensorProto, helper

    node = helper.make_node(
        "MaxPool",
        ["x"],
        ["y"],
        kernel_shape=pool.kernel,
        strides=pool.stride,
        pads=pool.padding,
        dilations=pool.dilation,
        ceil_mode=int(pool.ceil_mode),
    )
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", *POOLED))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    result: np.ndarray = session.run(None, {"x": inputs})[0]
    return result


@pytest.mark.parametrize("name", sorted(POOLS))
def test_max_pool_windows(name: str) -> None:
    """The windows' maxima are what ONNX Runtime pools, and so is the network's output."""
    pool = POOLS[name]
    inputs = RNG.normal(size=(200, *POOLED)).astype(np.float32)
    want = runtime_pool(pool, inputs)
    assert want.shape[1:] == pool.output_shape([POOLED])
    flat = inputs.reshape(200, -1)
    windows = pool.windows(POOLED)
    naive = np.stack(
        [flat[:, [i for i in window if i >= 0]].max(1) for window in windows.tolist()], axis=1
    )
    assert np.array_equal(naive, want.reshape(200, -1))
    network = Network((Node("pool", pool, ("input",)),), POOLED)
    assert np.array_equal(outputs(network, inputs, dtype=torch.float32), naive)


def test_operators_are_built_once() -> None:
    network = Network((Node("a", Affine(normal(2, 3), normal(2)), ("input",)),), (3,))
    first = operators(network, "cpu", torch.float64)
    assert operators(network, "cpu", torch.float64) is first
    assert operators(network, "cpu", torch.float32) is not first
    assert set(first.affine) == {"a"} and set(first.windows) == set()
