"""An exported torch program in neutral form: calls of aten operators by name.

Two sources make it: a program in memory (``torch.export``) and an archive on disk
(``torch_archive.py``).  Arguments are named as in the operator's schema; a tensor or size
computed earlier is a ``Ref``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass

import torch
from torch.export.graph_signature import InputKind, OutputKind

from precond.errors import ModelError

PASSED_THROUGH = frozenset(
    (
        *("alias", "clone", "contiguous", "detach", "dropout", "flatten", "reshape", "squeeze"),
        *("to", "_to_copy", "unsqueeze", "view", "_unsafe_view"),
    )
)


@dataclass(frozen=True)
class Ref:
    """A value computed earlier, by name."""

    name: str


@dataclass(frozen=True)
class ProgramCall:
    """One operator call.  ``operator`` is its name without namespace (``linear``), or
    ``python.mul`` for arithmetic on sizes; ``outputs`` are the names it defines."""

    operator: str
    arguments: Mapping[str, object]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ProgramInput:
    """A tensor that a program reads; an open size is None."""

    name: str
    dims: tuple[int | None, ...]
    dtype: torch.dtype


@dataclass(frozen=True, kw_only=True)
class TorchProgram:
    """Calls in order, from inputs to outputs (values by the names they are given back under)."""

    origin: str
    inputs: tuple[ProgramInput, ...]
    constants: Mapping[str, torch.Tensor]
    calls: tuple[ProgramCall, ...]
    outputs: Mapping[str, str]

    @property
    def dtype(self) -> torch.dtype:
        """What plain numbers are rounded to: the type of the inputs."""
        return self.inputs[0].dtype

    def needed(self) -> tuple[ProgramCall, ...]:
        """The calls that the outputs depend on."""
        wanted = set(self.outputs.values())
        kept = []
        for call in reversed(self.calls):
            if wanted.intersection(call.outputs):
                wanted.update(refs(call.arguments.values()))
                kept.append(call)
        return tuple(reversed(kept))

    def finals(self) -> frozenset[str]:
        """Values that only calls which change no number stand between and the one output."""
        if len(self.outputs) > 1:
            return frozenset()
        calls = self.needed()
        makers = {name: call for call in calls for name in call.outputs}
        reads = Counter(name for call in calls for name in refs(call.arguments.values()))
        found = [*self.outputs.values()]
        while (made := makers.get(found[-1])) and made.operator in PASSED_THROUGH:
            source = next(iter(made.arguments.values()))
            if not isinstance(source, Ref) or reads[source.name] > 1:
                break
            found.append(source.name)
        return frozenset(found)


COMPUTING = (
    *(
        "conv2d",
        "conv3d",
        "conv_transpose3d",
        "avg_pool3d",
        "max_pool3d",
        "convolution",
        "linear",
        "addmm",
        "mm",
        "matmul",
        "batch_norm",
        "avg_pool2d",
    ),
    *("max_pool2d", "add", "sub", "rsub", "mul", "div", "neg", "sum", "mean", "cat", "relu"),
    *("relu6", "leaky_relu", "hardtanh", "clamp", "conv1d", "conv_transpose1d"),
    *("conv_transpose2d", "prelu", "abs", "maximum", "minimum", "hardsigmoid", "einsum"),
)
VIEWS = (
    *("view", "reshape", "flatten", "permute", "transpose", "t", "squeeze", "unsqueeze"),
    *("slice", "select", "dropout", "contiguous", "alias", "detach"),
)


def check_mutation(program: TorchProgram) -> None:
    """Refuses an in-place operator whose target anything else could still read.

    A target read by nothing but the in-place operator, back to the operator that computed
    it, may be overwritten without anybody noticing; then ``relu_`` means ``relu``.
    """
    readers = Counter(name for call in program.calls for name in refs(call.arguments.values()))
    readers.update(program.outputs.values())
    makers = {name: call for call in program.calls for name in call.outputs}
    inputs = {item.name for item in program.inputs}
    for call in program.calls:
        if not call.operator.endswith("_") or call.operator.endswith("__"):
            continue
        name = next(refs(call.arguments.values()), "")
        while readers[name] == 1 and name in makers:
            base = makers[name].operator.rstrip("_")
            if base in COMPUTING:
                break
            if base not in VIEWS:
                name = ""
            name = next(refs(makers[name].arguments.values()), "") if name else ""
        if readers[name] != 1 or (name not in makers and name not in inputs):
            raise ModelError(
                f"{program.origin}: operator {call.operator} overwrites a tensor read elsewhere",
                expected="a program without in-place operators",
                got=call.operator,
                fix="Save exported.run_decompositions({}) instead",
            )


def refs(arguments: object) -> Iterator[str]:
    """Names of all references among (nested) arguments."""
    if isinstance(arguments, Ref):
        yield arguments.name
    elif isinstance(arguments, Mapping):
        yield from refs(arguments.values())
    elif isinstance(arguments, list | tuple | ValuesView):
        for item in arguments:
            yield from refs(item)


def program_of(exported: torch.export.ExportedProgram, origin: str) -> TorchProgram:
    """The neutral form of an exported program in memory."""
    exported = exported.run_decompositions({})
    signature = exported.graph_signature
    tensors = {**exported.constants, **exported.state_dict}
    constants: dict[str, torch.Tensor] = {}
    inputs: list[str] = []
    for spec in signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            inputs.append(spec.arg.name)
            continue
        tensor = tensors.get(spec.target or "")
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"{origin}: constant {spec.target}", expected="a tensor", got="none")
        constants[spec.arg.name] = tensor.detach()
    specs = [s for s in signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
    if len(specs) < len(signature.output_specs):
        raise ModelError(
            origin,
            expected="inference",
            got="a program that changes buffers",
            fix="Export the module in evaluation mode",
        )
    spec = exported.call_spec.out_spec
    outputs = named_outputs([s.arg.name for s in specs], None if spec is None else spec.context)
    nodes = {node.name: node.meta.get("val") for node in exported.graph.nodes}
    calls = tuple(_call(n, origin) for n in exported.graph.nodes if n.op == "call_function")
    return TorchProgram(
        origin=origin,
        inputs=tuple(_input(name, nodes[name], origin) for name in inputs),
        constants=constants,
        calls=calls,
        outputs=outputs,
    )


def _input(name: str, sample: object, origin: str) -> ProgramInput:
    if not isinstance(sample, torch.Tensor):
        raise ModelError(f"{origin}: input {name}", expected="a tensor", got=str(type(sample)))
    dims = tuple(size if isinstance(size, int) else None for size in sample.shape)
    return ProgramInput(name, dims, sample.dtype)


def named_outputs(values: Sequence[str], keys: object) -> dict[str, str]:
    """The values that a program gives back, by the keys of its dict or else by numbers."""
    whole = isinstance(keys, list | tuple) and len(keys) == len(values) and len(values) > 1
    names = [str(key) for key in keys] if whole else [f"output{i}" for i in range(len(values))]  # type: ignore[attr-defined]  # whole says that it is a list
    return dict(zip(names, values, strict=True))


def _call(node: torch.fx.Node, origin: str) -> ProgramCall:
    target = node.target
    named: dict[str, object]
    if isinstance(target, torch._ops.OpOverload):
        operator = target._schema.name.removeprefix("aten::")
        names = [argument.name for argument in target._schema.arguments]
        named = {name: _neutral(v) for name, v in zip(names, node.args, strict=False)}
        named |= {name: _neutral(value) for name, value in node.kwargs.items()}
    else:
        operator = f"python.{getattr(target, '__name__', target)}"
        named = {f"argument{i}": _neutral(value) for i, value in enumerate(node.args)}
    return ProgramCall(operator, named, (node.name,))


def _neutral(value: object) -> object:
    if isinstance(value, torch.fx.Node):
        return Ref(value.name)
    if isinstance(value, list | tuple):
        return [_neutral(item) for item in value]
    return value
