"""Slices: where a model is cut, ``y = g(h(x))`` (Leino, Sen, Datta, Fredrikson, Li 2018).

``Slice(model, "fc1")`` cuts at the output of the module ``fc1``; ``pre=True`` at what it
reads, ``call=n`` at its n-th call where it is used more than once; a tuple of names cuts
at all of them; no name cuts at the model's input.

``run`` makes one forward pass that serves all purposes: values may be *put in* at some
sites (what lies before is not recomputed there), *leaves* are where gradients are wanted
(the graph begins there, so h is evaluated without one), and *read* sites are recorded.
The hooks live for the pass only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from attribution.inputs import Inputs
from attribution.model import as_module
from precond.basics.arguments import items
from precond.errors import DataError, ModelError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkModule


@dataclass(frozen=True)
class Site:
    """One place in a model: a module's output (``pre``: input) at its n-th call."""

    layer: str
    pre: bool = False
    call: int = 0

    def __str__(self) -> str:
        text = f"{self.layer} (input)" if self.pre else self.layer
        return f"{text}, call {self.call}" if self.call else text


@dataclass(frozen=True, eq=False)
class Slice:
    """A cut of ``model`` at ``layer``; without ``layer``, at the model's input."""

    model: nn.Module | Network
    layer: str | tuple[str, ...] | None = None
    pre: bool = False
    call: int = 0
    sites: tuple[Site, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = (self.layer,) if isinstance(self.layer, str) else ()
        if self.layer is not None and not names:
            names = items("layer of a slice", self.layer, "names of layers")
        module = as_module(self.model)
        if names == (INPUT,) and not has_layer(module, INPUT):
            names = ()
        if self.call < 0:
            raise QueryError("slice", expected="a call number of 0 or more", got=str(self.call))
        for name in names:
            find_layer(module, name)
        object.__setattr__(self, "sites", tuple(Site(n, self.pre, self.call) for n in names))

    def __str__(self) -> str:
        return ", ".join(map(str, self.sites)) or INPUT


def has_layer(module: nn.Module, name: str) -> bool:
    return _key(module, name) in dict(module.named_modules(remove_duplicate=False))


def _key(module: nn.Module, name: str) -> str:
    return module.keys.get(name, name) if isinstance(module, NetworkModule) else name


def find_layer(module: nn.Module, name: str) -> nn.Module:
    """The submodule of that name, or an error that lists the names there are."""
    every = dict(module.named_modules(remove_duplicate=False))
    key = _key(module, name)
    if key not in every or not key:
        names = [known for known in every if known]
        shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
        raise QueryError(
            f"slice at {name!r}", expected=f"one of {shown}", got="no such layer in the model"
        )
    layer: nn.Module = every[key]
    return layer


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """What one forward pass gave: the output, leaves by site name, and the values read."""

    output: Any
    leaves: dict[str, Tensor]
    values: dict[Site, Tensor]


class _Counter:
    """Calls of one module during one pass."""

    def __init__(self) -> None:
        self.calls = 0


def run(
    model: nn.Module,
    inputs: Inputs,
    *,
    interventions: Mapping[Site, Tensor] | None = None,
    leaves: Sequence[Site] | None = None,
    read: Sequence[Site] = (),
) -> ForwardPass:
    """One forward pass.  ``leaves`` None: no gradients; empty: at the floating inputs."""
    interventions = interventions or {}
    found: dict[str, Tensor] = {}
    values: dict[Site, Tensor] = {}
    if leaves is not None and not leaves:
        found = {n: v.detach().requires_grad_() for n, v in inputs.floats.items()}
        if not found:
            raise QueryError(
                "slice at the input",
                expected="floating-point inputs",
                got="whole numbers only",
                fix="Cut at the embedding layer instead",
            )
        # Copies go in: a leaf must not be changed in place by the model.
        inputs = inputs.with_floats({name: leaf.clone() for name, leaf in found.items()})

    def at(site: Site, value: Tensor) -> Tensor:
        if site in interventions and site.pre:
            value = interventions[site]
        if leaves is not None and site in leaves:
            leaf = value.detach().requires_grad_()
            found[str(site)] = leaf
            value = leaf.clone()
        if site in read:
            values[site] = value.clone()
        return value

    wanted = {*interventions, *(leaves or ()), *read}
    with ExitStack() as stack:
        for name in {site.layer for site in wanted}:
            sites = {(site.pre, site.call): site for site in wanted if site.layer == name}
            stack.enter_context(_watched(find_layer(model, name), name, sites, interventions, at))
        with torch.set_grad_enabled(leaves is not None):
            output = _called(model, inputs)
    for site in {*(leaves or ()), *interventions}:
        if site in (leaves or ()) and str(site) not in found:
            raise QueryError(
                f"slice at {site}",
                expected=f"call {site.call} of it during the forward pass",
                got="fewer calls",
                fix="Choose an earlier call, or another layer",
            )
    for site in read:
        if site not in values:
            raise QueryError(f"layer {site}", expected="a call of it", got="none in this pass")
    return ForwardPass(output, found, values)


def _called(model: nn.Module, inputs: Inputs) -> Any:
    """What the model makes of the inputs; DataError where it does not take them."""
    try:
        return model(*inputs.positional, **inputs.keywords)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # torch's word for shapes that do not fit
        shapes = ", ".join(str(tuple(tensor.shape[1:])) for tensor in inputs.tensors)
        reason = (str(error).strip() or "RuntimeError").splitlines()[0]
        raise DataError(
            f"inputs for {type(model).__name__}",
            expected="rows of the shape that the model takes",
            got=f"rows of shape {shapes}, of which it says: {reason}",
        ) from error


@contextmanager
def _watched(
    module: nn.Module,
    name: str,
    sites: Mapping[tuple[bool, int], Site],
    interventions: Mapping[Site, Tensor],
    at: Callable[[Site, Tensor], Tensor],
) -> Iterator[None]:
    """Hooks on one module for one pass; a given output replaces the module's computation."""
    before, after, inside = _Counter(), _Counter(), _Counter()

    def on_input(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        site = sites.get((True, before.calls))
        before.calls += 1
        if site is None:
            return None
        if not args or not isinstance(args[0], Tensor):
            raise ModelError(
                f"slice at the input of {name}",
                expected="a module whose first argument is a tensor",
                got="none",
            )
        return (at(site, args[0]), *args[1:])

    def on_output(_: nn.Module, __: tuple[Any, ...], value: Any) -> Any:
        site = sites.get((False, after.calls))
        after.calls += 1
        if site is None:
            return None
        if not isinstance(value, Tensor):
            raise ModelError(
                f"slice at the output of {name}",
                expected="a module that returns one tensor",
                got=type(value).__name__,
                fix="Cut at a layer inside it, or at the input of the next one (pre=True)",
            )
        return at(site, value)

    replaced = {
        s.call: interventions[s] for s in sites.values() if s in interventions and not s.pre
    }
    original = module.forward

    def forward(*args: Any, **named: Any) -> Any:
        call = inside.calls
        inside.calls += 1
        return replaced[call] if call in replaced else original(*args, **named)

    handles = [
        module.register_forward_pre_hook(on_input),
        module.register_forward_hook(on_output),
    ]
    own = module.__dict__.get("forward")
    try:
        if replaced:
            module.__dict__["forward"] = forward
        yield
    finally:
        for handle in handles:
            handle.remove()
        if replaced:
            if own is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = own


def flat_output(output: Any) -> Tensor:
    """A model's output as (B, K)."""
    if not isinstance(output, Tensor) or output.dim() < 1:
        raise ModelError(
            "model output",
            expected="one tensor (B, K)",
            got=type(output).__name__,
            fix="Give a callable that reads it as the quantity",
        )
    return output.unsqueeze(1) if output.dim() == 1 else output.flatten(1)
