"""The state dict of a plain multilayer perceptron → ``Network``.

Plain: a ``Sequential`` of ``Linear`` with one parameterless module between any two.  A state dict
does not say which activation that is, so its user states it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from precond.errors import ModelError
from precond.formats.lowering.builder import NetworkBuilder
from precond.formats.lowering.foreign import CHECKPOINT, SAFETENSORS, STATE, export_line
from precond.formats.lowering.stated import Activation, stated_origin
from precond.network.graph import Network
from precond.network.layers import Affine, ReLU

ADVICE = "Save torch.export.save(torch.export.export(module.eval(), (x,)), path), or export to ONNX"
CHECKPOINTS = ("state_dict", "model_state_dict", "model", "net", "network")


def perceptron(
    state: object,
    path: Path,
    input_shape: Sequence[int] | None,
    activation: Activation | None,
) -> Network:
    """Linear layers named by index in a Sequential, the stated activation between any two."""
    for entry in CHECKPOINTS:
        if isinstance(state, Mapping) and isinstance(state.get(entry), Mapping):
            raise ModelError(
                f"{path}",
                expected="an exported program or a state dict of tensors",
                got=f"a checkpoint that holds one as {entry!r}",
                fix=export_line(CHECKPOINT, path, entry),
            )
    layers = _linear_layers(state, path)
    if activation is None:
        raise ModelError(
            f"{path}: a state dict does not name its activations",
            expected="them as stated by you",
            got="weights alone",
            fix="If one ReLU stands between any two linear layers and nothing follows the last, "
            "say --activation relu (in Python activation='relu'); if not: "
            f"{_advice(path)}",
        )
    steps = np.diff([index for index, _, _ in layers])
    if layers[0][0] > 1 or (steps != 2).any():
        raise ModelError(
            f"{path}: positions {[index for index, _, _ in layers]} of the linear layers",
            expected=f"Linear and {activation} in turn (0, 2, 4, …)",
            got="modules between them that a state dict does not name",
            fix=_advice(path),
        )
    width = layers[0][1].shape[1]
    shape = (width,) if input_shape is None else tuple(input_shape)
    if int(np.prod(shape)) != width:
        raise ModelError(f"{path}: input_shape", expected=f"{width} values", got=str(shape))
    origin = stated_origin(str(path), activation)
    builder = NetworkBuilder(origin, shape, batched=True, open_batch=True)
    value = builder.rearrange(builder.input, builder.input.index.reshape(1, -1))
    for position, (index, weight, bias) in enumerate(layers):
        try:
            value = builder.emit(Affine(weight.numpy(), bias.numpy()), [value])
        except ModelError as error:
            raise ModelError(f"{path}: linear layer {index}: {error}") from error
        if position + 1 < len(layers):
            value = builder.emit(ReLU(), [value])
    return builder.finish(value)


def _linear_layers(state: object, path: Path) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    """(position, weight, bias) of every linear layer, in order, in float64."""
    found: dict[int, dict[str, torch.Tensor]] = {}
    prefixes = set()
    entries = state.items() if isinstance(state, Mapping) else ()
    for key, tensor in entries:
        match = re.fullmatch(r"((?:\w+\.)*?)(\d+)\.(weight|bias)", str(key))
        if match is None or not isinstance(tensor, torch.Tensor):
            raise _not_plain(path, str(key))
        if not tensor.is_floating_point() or tensor.numel() > tensor.untyped_storage().nbytes():
            raise _not_plain(path, f"{key} of type {tensor.dtype}, shape {tuple(tensor.shape)}")
        prefixes.add(match[1])
        if tensor.dim() != (2 if match[3] == "weight" else 1):
            raise _not_plain(path, f"{key} of shape {tuple(tensor.shape)}")
        found.setdefault(int(match[2]), {})[match[3]] = tensor.detach().to(torch.float64)
    if not found or len(prefixes) > 1 or any("weight" not in part for part in found.values()):
        raise _not_plain(path, type(state).__name__ if not found else "several modules")
    layers = []
    for index in sorted(found):
        weight = found[index]["weight"]
        bias = found[index].get("bias", torch.zeros(len(weight), dtype=torch.float64))
        if len(bias) != len(weight):
            raise _not_plain(path, f"{index}.bias of {len(bias)} values")
        layers.append((index, weight, bias))
    return layers


def _advice(path: Path) -> str:
    """The lines that export the network the weights are of."""
    line = SAFETENSORS if path.suffix.lower() == ".safetensors" else STATE
    return f"{export_line(line, path)}. Or: {ADVICE}"


def _not_plain(path: Path, got: str) -> ModelError:
    return ModelError(
        f"{path}",
        expected="the state dict of one Sequential of Linear and ReLU (0.weight, 0.bias, 2.weight)",
        got=got,
        fix=_advice(path),
    )
