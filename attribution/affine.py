"""What autograd's graph says about a value: is it an affine function of some leaves?

Used to integrate through a first affine layer once instead of at every step, and to say
when an influence is only a row of weights because nothing nonlinear follows the slice.
The answer is yes only if every recorded operator between is known to be affine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attribution.inputs import Inputs
from attribution.slices import Site, run
from precond.network.module import NetworkModule

_PRODUCTS = {"Mul", "Mm", "Bmm", "Addmm", "Baddbmm", "Div", "Mv"}
_MIXING = {"Addmm", "Mm", "Bmm", "Convolution", "Mv", "Baddbmm"}
_AFFINE = _PRODUCTS | {
    "AccumulateGrad",
    "Convolution",
    "NativeBatchNorm",
    "View",
    "UnsafeView",
    "ReshapeAlias",
    "Permute",
    "Transpose",
    "T",
    "Unsqueeze",
    "Squeeze",
    "Add",
    "Sub",
    "Rsub",
    "Neg",
    "Clone",
    "Alias",
    "ToCopy",
    "Expand",
    "Sum",
    "Mean",
    "AvgPool2D",
    "Select",
    "Slice",
    "Cat",
    "Stack",
    "Gather",
    "IndexSelect",
    "ConstantPadNd",
    "Split",
    "SplitWithSizes",
    "Unbind",
}


def _kind(node: Any) -> str:
    name = str(node.name()).rsplit("::", 1)[-1]
    if name.rstrip("0123456789").endswith("Backward"):
        return name.rstrip("0123456789").removesuffix("Backward")
    return name


def _walk(value: Tensor) -> Iterator[Any]:
    stack, seen = [value.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(following for following, _ in node.next_functions)


def is_affine(value: Tensor) -> bool:
    """Whether ``value`` depends on its leaves through affine operators only."""
    for node in _walk(value):
        kind = _kind(node)
        if kind not in _AFFINE or getattr(node, "_saved_training", False):
            return False
        if kind in _PRODUCTS:
            operands = [following for following, _ in node.next_functions]
            if kind in ("Addmm", "Baddbmm"):
                operands = operands[1:]
            if kind == "Div":
                if len(operands) > 1 and operands[1] is not None:
                    return False
            elif sum(operand is not None for operand in operands) > 1:
                return False
    return True


def mixes(value: Tensor) -> bool:
    """Whether a matrix product or convolution lies on the way."""
    return any(_kind(node) in _MIXING for node in _walk(value))


def first_affine(model: nn.Module, inputs: Inputs, cut: Sequence[Site] = ()) -> Site | None:
    """The first module whose output is an affine function of the values at ``cut`` (none: of
    the input), with a matrix product or convolution in it, and through which alone they act;
    None if there is none."""
    if len(cut) > 1:
        return None
    single = inputs.take(slice(0, 1))
    if not cut and (len(inputs.floats) != 1 or len(inputs.tensors) != 1):
        return None
    calls: dict[str, int] = {}
    found: list[str] = []

    def record(label: str) -> Any:
        def hook(_: nn.Module, __: Any, value: Any) -> None:
            calls[label] = calls.get(label, 0) + 1
            if not found and isinstance(value, Tensor) and value.requires_grad:
                affine = is_affine(value)
                if affine and mixes(value) and value.dim() > 1:
                    found.append(label)

        return hook

    handles = [
        module.register_forward_hook(record(label))
        for label, module in model.named_modules()
        if label and not list(module.children())
    ]
    try:
        before = run(model, single, leaves=cut).leaves
    finally:
        for handle in handles:
            handle.remove()
    if not found or calls[found[0]] != 1:
        return None
    label = found[0]
    if isinstance(model, NetworkModule):
        label = next(node for node, key in model.keys.items() if key == label)
    site = Site(label)
    if site in cut:
        return None
    value = run(model, single, read=[site]).values[site]
    with_graph = run(model, single, interventions={site: value}, leaves=cut)
    if not isinstance(with_graph.output, Tensor) or with_graph.output.requires_grad:
        return None
    # A path without derivatives (a mask made from the input, say) shows in the value.
    zeros = {name: torch.zeros_like(leaf) for name, leaf in before.items()}
    if cut:
        interventions = {cut[0]: zeros[str(cut[0])], site: value}
        elsewhere = run(model, single, interventions=interventions).output
    else:
        elsewhere = run(model, single.with_floats(zeros), interventions={site: value}).output
    return site if torch.equal(elsewhere, with_graph.output.detach()) else None
