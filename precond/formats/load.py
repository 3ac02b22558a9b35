"""Any model → ``Network``: the suffix of the file, or the kind of object, chooses the reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from precond.errors import ModelError
from precond.formats.lowering.foreign import refuse_foreign
from precond.formats.lowering.interface import InputShape, checked_shape
from precond.formats.lowering.stated import Activation, Pools, superfluous
from precond.network.graph import Network
from precond.network.pools import pools_as_comparisons

if TYPE_CHECKING:
    import torch

    from precond.formats.torch.weights import Weights

STATE_SUFFIXES = (".pt", ".pth", ".pt2", ".safetensors")
SUFFIXES = (".onnx", ".nnet", *STATE_SUFFIXES)


def load(
    source: str | Path | torch.nn.Module | torch.export.ExportedProgram,
    input_shape: InputShape | None = None,
    *,
    activation: Activation | str | None = None,
    output: str | None = None,
    weights: Weights | None = None,
    pools: Pools | str = Pools.WINDOWS,
) -> Network:
    """The network in a model file (.onnx, .nnet, .pt2, or weights in .pt, .pth, .safetensors), a
    module or an exported program.

    ``input_shape`` has no batch axis; of several inputs it is a dict by their names.  A module
    needs it; a file needs it where it leaves sizes open.  Several inputs, and several outputs,
    stand side by side (``Network.input_parts``, ``output_parts``); ``output`` chooses one of the
    outputs, by its name or number.  ``activation`` says what stands between the layers of a
    state dict, which does not say it itself; the network's ``origin`` then names it as stated.
    ``weights``: of a module, tensors by name, or a file of them, that are read instead of its own.
    ``pools``: with ``comparisons`` a max-pool becomes decisions that say which entry of a window
    leads (``precond.network.pools``); the function stays the same.
    Raises ``ModelError`` for what cannot be read, and its subclass ``UnsupportedOperator`` for an
    operator without an exact meaning as layers.
    """
    reading = Pools.named(pools)
    network = _load(source, input_shape, activation, output=output, weights=weights)
    return network if reading is Pools.WINDOWS else pools_as_comparisons(network)


def _load(
    source: str | Path | torch.nn.Module | torch.export.ExportedProgram,
    input_shape: InputShape | None,
    activation: Activation | str | None,
    *,
    output: str | None,
    weights: Weights | None,
) -> Network:
    input_shape = checked_shape(input_shape)
    stated = Activation.named(activation)
    if not isinstance(source, str | Path):
        if stated is not None:
            raise superfluous(type(source).__name__)
        from precond.formats.torch.reader import read_module

        return read_module(source, input_shape, output, weights=weights)
    path = Path(source)
    if weights is not None:
        raise ModelError("weights", expected="a module to put them into", got=f"the file {path}")
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

            return read_torch(path, input_shape, stated, output=output)
        if stated is not None:
            raise superfluous(str(path))
        return _reader(path)(path, input_shape, output)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def _reader(path: Path) -> Callable[[Path, InputShape | None, str | None], Network]:
    match path.suffix.lower():
        case ".onnx":
            from precond.formats.onnx.reader import read_onnx

            return read_onnx
        case _:
            from precond.formats.nnet import read_nnet

            return read_nnet
