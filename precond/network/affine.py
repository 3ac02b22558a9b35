"""The affine maps that layers are: ``y = L(x₁, …) + b``, in torch.

``apply`` evaluates a map, ``transpose`` carries a linear form on its output back to its inputs
(``a·y = Σ Lᵀ(a)_i · x_i + a·b``), and ``absolute`` is the same map with |L| and |b|, for error
bounds and interval arithmetic.  Values have one leading batch dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from precond.network.layers import Add, Conv2d, Pads, Shape, Sum


class AffineOperator:
    """Base: an affine map between shaped values."""

    def __init__(self, inputs: Sequence[Shape], output: Shape) -> None:
        self.inputs = tuple(inputs)
        self.output = output

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        """``L(values) + b`` (or ``L(values)``) for values (batch, *shape)."""
        raise NotImplementedError

    def transpose(self, form: Tensor) -> list[Tensor]:
        """``Lᵀ form`` for each input; ``form`` (batch, *output shape)."""
        raise NotImplementedError

    def absolute(self) -> AffineOperator:
        return self

    def bias_dot(self, form: Tensor) -> Tensor:
        """``form · b``, (batch,)."""
        return form.new_zeros(form.shape[0])

    @property
    def terms(self) -> int:
        """Most products summed into one number, forwards or backwards."""
        return 1


class AffineLast(AffineOperator):
    def __init__(
        self, inputs: Sequence[Shape], output: Shape, weight: Tensor, bias: Tensor
    ) -> None:
        super().__init__(inputs, output)
        self.weight = weight
        self.bias = bias

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        return F.linear(values[0], self.weight, self.bias if bias else None)

    def transpose(self, form: Tensor) -> list[Tensor]:
        return [form @ self.weight]

    def absolute(self) -> AffineOperator:
        return AffineLast(self.inputs, self.output, self.weight.abs(), bias=self.bias.abs())

    def bias_dot(self, form: Tensor) -> Tensor:
        result = form @ self.bias
        return result if result.dim() == 1 else result.flatten(1).sum(1)

    @property
    def terms(self) -> int:
        return max(self.weight.shape) + math.prod(self.output)


class Convolution(AffineOperator):
    def __init__(
        self,
        inputs: Sequence[Shape],
        output: Shape,
        layer: Conv2d,
        weight: Tensor,
        bias: Tensor,
    ) -> None:
        super().__init__(inputs, output)
        self.layer = layer
        self.weight = weight
        self.bias = bias

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        layer = self.layer
        padded = _pad(values[0], layer.padding, 0.0)
        return F.conv2d(
            padded,
            self.weight,
            self.bias if bias else None,
            layer.stride,
            0,
            layer.dilation,
            layer.groups,
        )

    def transpose(self, form: Tensor) -> list[Tensor]:
        layer = self.layer
        top, left, bottom, right = layer.padding
        _, height, width = self.inputs[0]
        full = F.conv_transpose2d(
            form, self.weight, None, layer.stride, 0, 0, layer.groups, layer.dilation
        )
        full = F.pad(
            full,
            (0, width + left + right - full.shape[-1], 0, height + top + bottom - full.shape[-2]),
        )
        return [full[..., top : top + height, left : left + width]]

    def absolute(self) -> AffineOperator:
        return Convolution(
            self.inputs, self.output, self.layer, weight=self.weight.abs(), bias=self.bias.abs()
        )

    def bias_dot(self, form: Tensor) -> Tensor:
        return form.sum((-1, -2)) @ self.bias

    @property
    def terms(self) -> int:
        out, per_group, height, width = self.weight.shape
        return max(out, per_group) * height * width + math.prod(self.output)


class EvenConvolution(Convolution):
    """The same map for values with channels innermost in memory, padded alike on both sides:
    the kernels of torch pad by themselves, and need no copy of the value."""

    def __init__(self, operator: Convolution) -> None:
        weight = operator.weight.contiguous(memory_format=torch.channels_last)
        super().__init__(operator.inputs, operator.output, operator.layer, weight, operator.bias)

    @staticmethod
    def fits(layer: Conv2d) -> bool:
        top, left, bottom, right = layer.padding
        return top == bottom and left == right

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        layer = self.layer
        return F.conv2d(
            values[0],
            self.weight,
            self.bias if bias else None,
            layer.stride,
            layer.padding[:2],
            layer.dilation,
            layer.groups,
        )

    def transpose(self, form: Tensor) -> list[Tensor]:
        layer, padding = self.layer, self.layer.padding[:2]
        extra = [
            (size + 2 * pad - dilation * (kernel - 1) - 1) % stride
            for size, pad, dilation, kernel, stride in zip(
                self.inputs[0][1:],
                padding,
                layer.dilation,
                self.weight.shape[2:],
                layer.stride,
                strict=True,
            )
        ]
        found = F.conv_transpose2d(
            form, self.weight, None, layer.stride, padding, extra, layer.groups, layer.dilation
        )
        return [found]


class ElementScale(AffineOperator):
    def __init__(self, shape: Shape, factor: Tensor, shift: Tensor) -> None:
        super().__init__([shape], shape)
        self.factor = factor
        self.shift = shift

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        scaled = values[0] * self.factor
        return scaled + self.shift if bias else scaled

    def transpose(self, form: Tensor) -> list[Tensor]:
        return [form * self.factor]

    def absolute(self) -> AffineOperator:
        return ElementScale(self.output, self.factor.abs(), self.shift.abs())

    def bias_dot(self, form: Tensor) -> Tensor:
        return (form * self.shift).flatten(1).sum(1)

    @property
    def terms(self) -> int:
        return 2 + math.prod(self.output)


class Summed(AffineOperator):
    def __init__(self, inputs: Sequence[Shape], output: Shape, layer: Sum) -> None:
        super().__init__(inputs, output)
        self.layer = layer
        self.axes = tuple(axis + 1 for axis in layer.axes)
        self.kept = tuple(1 if i in layer.axes else n for i, n in enumerate(self.inputs[0]))

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        total = values[0].sum(self.axes) * self.layer.scale
        return total.reshape(total.shape[0], *self.output)

    def transpose(self, form: Tensor) -> list[Tensor]:
        shaped = form.reshape(form.shape[0], *self.kept) * self.layer.scale
        return [shaped.expand(form.shape[0], *self.inputs[0]).contiguous()]

    def absolute(self) -> AffineOperator:
        layer = Sum(self.layer.axes, self.layer.keepdims, abs(self.layer.scale))
        return Summed(self.inputs, self.output, layer)

    @property
    def terms(self) -> int:
        return math.prod(self.inputs[0]) // max(math.prod(self.output), 1) + 1


class Added(AffineOperator):
    def __init__(self, inputs: Sequence[Shape], output: Shape, layer: Add) -> None:
        super().__init__(inputs, output)
        self.coefficients = layer.coefficients

    def apply(self, values: Sequence[Tensor], bias: bool = True) -> Tensor:
        total = values[0] * self.coefficients[0]
        for value, coefficient in zip(values[1:], self.coefficients[1:], strict=True):
            total = total + value * coefficient
        return total

    def transpose(self, form: Tensor) -> list[Tensor]:
        return [form * coefficient for coefficient in self.coefficients]

    def absolute(self) -> AffineOperator:
        return Added(self.inputs, self.output, Add(tuple(abs(c) for c in self.coefficients)))

    @property
    def terms(self) -> int:
        return len(self.coefficients) + 1


def _pad(value: Tensor, padding: Pads, fill: float) -> Tensor:
    top, left, bottom, right = padding
    if not any(padding):
        return value
    return F.pad(value, (left, right, top, bottom), value=fill)
