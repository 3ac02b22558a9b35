"""Tensors by name, from a file or as they are, put into a module whose architecture is at hand."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from precond.errors import ModelError
from precond.formats.torch.safetensors import read_safetensors

Weights = str | Path | Mapping[str, torch.Tensor]


def state_of(path: Path) -> object:
    """What a ``.safetensors`` or torch file holds; the latter's own errors where it is none."""
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how it was pickled; errors say what is wrong
        return torch.load(path, map_location="cpu", weights_only=True)


def with_weights(module: torch.nn.Module, weights: Weights) -> torch.nn.Module:
    """A copy of ``module`` with these tensors as its parameters and buffers, none left over."""
    name = type(module).__name__
    try:
        state = weights if isinstance(weights, Mapping) else state_of(Path(weights))
        if not isinstance(state, Mapping):
            raise ModelError("weights", expected="tensors by name", got=type(state).__name__)
        filled = copy.deepcopy(module)
        filled.load_state_dict(dict(state))
        return filled
    except (OSError, pickle.UnpicklingError, RuntimeError, TypeError, EOFError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(
            f"weights of {name}",
            expected="a tensor of its shape for each parameter and buffer of the module",
            got=reason,
        ) from error
