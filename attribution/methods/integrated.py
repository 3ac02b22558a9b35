"""Integrated gradients (Sundararajan, Taly, Yan 2017).

IG_i(x) = (x_i − x'_i) ∫₀¹ ∂q/∂x_i (x' + t (x − x')) dt, and Σ_i IG_i = q(x) − q(x')
(completeness), whose error is always reported.

The integral is a quadrature rule over t (``Rule``); for piecewise-linear networks, secants
of equal cells (``secant.py``), or exact (``network_path.py``).  For a quadrature rule, where
the input enters through one affine layer only, that layer is factored out: its output moves
on a line too, so gradients are taken there and carried back through it once per input
instead of once per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from attribution.affine import first_affine
from attribution.attribution import Array, Attribution
from attribution.distributions import Baseline
from attribution.fixed_batch import RowByRow, explained, fixes_batch
from attribution.gradients import Kernel
from attribution.inputs import Inputs
from attribution.memory import rows_for
from attribution.methods.line import LineBlock
from attribution.model import as_module, logits_model, logits_note, place_of, type_of, undisturbed
from attribution.quantities import Quantity, QuantityLike, class_score, quantities_of
from attribution.rules import NETWORK_RULES, Rule, nodes
from attribution.slices import Site, Slice, flat_output, run
from precond.errors import QueryError
from precond.network.graph import Network

AUTO_FIRST, AUTO_LAST = 8, 4096
CHUNK_FIX = "Give chunk=1: rows then go through one at a time; or write x.view(len(x), -1)"


def integrated_gradients(  # noqa: PLR0913  the public door: its options are all keywords
    model: nn.Module | Network | Slice,
    inputs: Any,
    baseline: Baseline = 0.0,
    quantity: QuantityLike | Sequence[QuantityLike] | None = None,
    *,
    method: str | Rule = Rule.GAUSS,
    steps: int | Literal["auto"] = 50,
    tolerance: float = 1e-2,
    device: str | None = None,
    memory: int | None = None,
    chunk: int | None = None,
    factor: bool = True,
    dtype: torch.dtype | None = None,
    outputs: Literal["model", "logits"] = "model",
) -> Attribution:
    """Integrated gradients of every input row, (rows, *shape); (Q, rows, *shape) for a list.

    ``model``: a module or network, or a ``Slice`` to integrate at that layer (embeddings);
    the baseline then lives there.  ``baseline``: a number, one value for all rows, or one per
    row; of several inputs, a tuple or dict of such.  ``quantity`` None: the score of each
    row's predicted class.  ``steps`` points per row; ``"auto"`` doubles them until the
    completeness error of a row is at most ``tolerance`` times its |q(x) − q(x')| (secant, which
    is always complete: until doubling changes a row's mean gradients by at most ``tolerance`` of
    their L1 norm).  ``memory``:
    bytes of one chunk; ``chunk`` sets its rows instead (1 also serves a module whose forward
    fixes a batch of one).  ``factor=False`` keeps the first
    layer in every step.  ``dtype`` applies to networks (modules compute in their own type).
    ``outputs="logits"`` explains what a last softmax, log-softmax or sigmoid reads instead of
    what it makes; the exact and secant rules can explain nothing else of such a model.
    """
    rule = Rule.named(method)
    cut = model if isinstance(model, Slice) else Slice(model)
    if outputs == "logits":
        cut = of_logits(cut, inputs)
    if rule in NETWORK_RULES:
        from attribution.methods.on_networks import Follow, Machine, network_integrated_gradients

        return network_integrated_gradients(
            cut,
            inputs,
            baseline,
            quantity=quantity,
            follow=Follow(rule, steps, tolerance),
            machine=Machine(device, memory, dtype),
        )
    module = as_module(cut.model, device=device, dtype=dtype)
    read = Inputs.read(inputs, device=place_of(module), dtype=type_of(module))
    if not cut.sites:
        _check_numbers(read)
    with undisturbed(module), explained(module, read, CHUNK_FIX):
        if chunk == 1 and not cut.sites and fixes_batch(module, read):
            module, factor = RowByRow(module), False
        chosen, several = (
            quantities_of(quantity) if quantity is not None else ((predicted(module, read),), False)
        )
        path = _Path(
            model=module,
            inputs=read,
            sites=cut.sites,
            baseline=baseline,
            quantities=chosen,
            memory=memory,
            chunk=chunk,
            factor=factor,
        )
        integral = path.auto(rule, tolerance) if steps == "auto" else path.integrate(rule, steps)
    found = _attribution(
        integral, quantities=chosen, several=several, method=f"integrated gradients at {cut}"
    )
    return replace(
        found,
        rule=f"{rule.value}, {integral.steps} steps",
        notes=(*integral.notes, *logits_note(cut.model)),
    )


def _check_numbers(inputs: Inputs) -> None:
    """QueryError unless there are floating-point inputs; DataError unless they are finite."""
    if not inputs.floats:
        raise QueryError(
            "integrated gradients at the input",
            expected="floating-point inputs",
            got="whole numbers only",
            fix="Convert numbers with .float(); cut tokens at their embedding layer",
        )
    inputs.check()


def _attribution(
    integral: _Integral, quantities: tuple[Quantity, ...], several: bool, method: str
) -> Attribution:
    total = sum(part.reshape(*part.shape[:2], -1).sum(-1) for part in integral.parts.values())
    error = np.abs(total - integral.change)
    return Attribution(
        parts=tuple(p if several else p[0] for p in integral.parts.values()),
        names=tuple(integral.parts),
        quantities=tuple(q.name for q in quantities),
        method=method,
        rule=integral.steps,
        evaluated=integral.evaluated,
        several=several,
        completeness=error if several else error[0],
        change=integral.change if several else integral.change[0],
    )


def of_logits(cut: Slice, inputs: Any) -> Slice:
    """The same cut of the model's logits."""
    if cut.sites and not isinstance(cut.model, Network):
        raise QueryError(
            f"logits of a module cut at {cut}",
            expected="a network",
            got=type(cut.model).__name__,
            fix="Cut Slice(load(model, input_shape).logits, layer), with precond.formats.load",
        )
    return replace(cut, model=logits_model(cut.model, tuple(np.shape(inputs))[1:]))


def predicted(model: nn.Module, inputs: Inputs) -> Quantity:
    """The score of the class each row is predicted as."""
    with torch.no_grad():
        rows = [
            flat_output(run(model, inputs.take(slice(i, i + 256))).output).argmax(1)
            for i in range(0, inputs.rows, 256)
        ]
    quantity = class_score(torch.cat(rows))
    return Quantity(
        name="predicted class",
        score=quantity.score,
        weights=quantity.weights,
        rivals=quantity.rivals,
    )


@dataclass(frozen=True, eq=False)
class _Integral:
    """Attributions per part (Q, rows, *shape), q(x) − q(x') (Q, rows)."""

    parts: dict[str, Array]
    change: Array
    evaluated: int
    steps: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class _Path:
    """The lines from baseline to input of some rows, and how to integrate along them."""

    model: nn.Module
    inputs: Inputs
    sites: tuple[Site, ...]
    baseline: Baseline
    quantities: tuple[Quantity, ...]
    memory: int | None
    chunk: int | None
    factor: bool

    def integrate(self, rule: Rule, steps: int, rows: Tensor | None = None) -> _Integral:
        """All rows, or some of them, with ``steps`` points each."""
        kernel = Kernel(
            self.model,
            self.inputs,
            point_sites=self.sites,
            leaves=self.sites,
            quantities=self.quantities,
        )
        place = self.inputs.tensors[0].device
        position, weight = (torch.tensor(a, device=place) for a in nodes(rule, steps))
        numbers = torch.arange(self.inputs.rows) if rows is None else rows
        head = None
        if self.factor and not self.sites and steps > 2:
            head = first_affine(self.model, self.inputs)
        size = self.chunk
        if size is None:
            line = LineBlock.between(
                kernel, head=head, baseline=self.baseline, rows=numbers[:1].to(place)
            )
            made = line.kernel.bytes_per_point(line.points(position[:1]), numbers[:1])
            size = rows_for(made, self.memory, place)
        parts: dict[str, Array] = {}
        change = np.zeros((len(self.quantities), len(numbers)))
        per_block = max(1, size // steps)
        for start in range(0, len(numbers), per_block):
            block = numbers[start : start + per_block].to(place)
            line = LineBlock.between(kernel, head=head, baseline=self.baseline, rows=block)
            mean = line.mean_gradient(position, weight, size)
            target = slice(start, start + len(block))
            change[:, target] = line.change.cpu().numpy()
            for name, value in line.attributions(mean).items():
                if name not in parts:
                    shape = (len(self.quantities), len(numbers), *value.shape[2:])
                    parts[name] = np.zeros(shape)
                parts[name][:, target] = value.cpu().numpy()
        notes = () if head is None else (f"{head} factored out of the steps",)
        return _Integral(
            parts, change, evaluated=len(numbers) * steps, steps=str(steps), notes=notes
        )

    def auto(self, rule: Rule, tolerance: float) -> _Integral:
        """Double the steps of the rows whose completeness error is above ``tolerance``."""
        steps = AUTO_FIRST
        whole = self.integrate(rule, steps)
        used = np.full(self.inputs.rows, steps)
        evaluated = whole.evaluated
        while True:
            total = sum(p.reshape(*p.shape[:2], -1).sum(-1) for p in whole.parts.values())
            # Below one ulp-sized share of the scores no rule can do better.
            scale = np.maximum(np.abs(whole.change), 1e-6)
            late = np.flatnonzero((np.abs(total - whole.change) > tolerance * scale).any(0))
            if not len(late) or steps >= AUTO_LAST:
                break
            steps *= 2
            again = self.integrate(rule, steps, torch.as_tensor(late))
            for name, value in again.parts.items():
                whole.parts[name][:, late] = value
            used[late] = steps
            evaluated += again.evaluated
        notes = list(whole.notes)
        if len(late):
            notes.append(f"{len(late)} rows above the tolerance {tolerance:g} at {AUTO_LAST} steps")
        text = f"{used.min()} to {used.max()}" if used.min() < used.max() else str(used.max())
        return _Integral(whole.parts, whole.change, evaluated, steps=text, notes=tuple(notes))
