"""Any model → ``Network``: the suffix of the file, or the kind of object, chooses the reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.arguments import items, whole
from precond.errors import ModelError
from precond.formats.lowering.foreign import refuse_foreign
from precond.formats.lowering.stated import Activation, superfluous
from precond.network.graph import Network

if TYPE_CHECKING:
    import torch

STATE_SUFFIXES = (".pt", ".pth", ".pt2")
SUFFIXES = (".onnx", ".nnet", *STATE_SUFFIXES)


def load(
    source: str | Path | torch.nn.Module | torch.export.ExportedProgram,
    input_shape: Sequence[int] | None = None,
    *,
    activation: Activation | str | None = None,
) -> Network:
    """The network in a model file (.onnx, .nnet, .pt, .pth, .pt2), module or exported program.

    ``input_shape`` has no batch axis.  A module needs it; a file needs it where it leaves
    sizes open.  ``activation`` says what stands between the layers of a state dict, which does
    not say it itself; the network's ``origin`` then names it as stated.  Raises ``ModelError``
    for what cannot be read, and its subclass ``UnsupportedOperator`` for an operator without
    an exact meaning as layers.
    """
    if input_shape is not None:
        input_shape = tuple(
            whole("input_shape", n) for n in items("input_shape", input_shape, "sizes")
        )
        if not input_shape or any(size < 1 for size in input_shape):
            raise ModelError(
                "input_shape",
                expected="positive sizes without the batch axis",
                got=str(input_shape),
            )
    stated = Activation.named(activation)
    if not isinstance(source, str | Path):
        if stated is not None:
            raise superfluous(type(source).__name__)
        from precond.formats.torch.reader import read_module

        return read_module(source, input_shape)
    path = Path(source)
    refuse_foreign(path, f"a file ending in {', '.join(SUFFIXES)}")
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"{path}",
            expected=f"a file ending in {', '.join(SUFFIXES)}",
            got=path.suffix or "no suffix",
        )
    if not path.is_file():
        raise ModelError(
            f"{path}", expected="a model file", got="a folder" if path.is_dir() else "no such file"
        )
    try:
        if path.suffix.lower() in STATE_SUFFIXES:
            from precond.formats.torch.reader import read_torch

            return read_torch(path, input_shape, stated)
        if stated is not None:
            raise superfluous(str(path))
        return _reader(path)(path, input_shape)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def _reader(path: Path) -> Callable[[Path, Sequence[int] | None], Network]:
    match path.suffix.lower():
        case ".onnx":
            from precond.formats.onnx.reader import read_onnx

            return read_onnx
        case _:
            from precond.formats.nnet import read_nnet

            return read_nnet
