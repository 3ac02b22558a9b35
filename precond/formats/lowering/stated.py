"""What a model file does not say, and its user states.

A state dict holds weights alone: which function stands between two linear layers, and whether
one follows the last, is not in the file.  It is never guessed.  The user states it, and the
statement is part of the network's ``origin``, which ``precond info``, pages and certificates
show.
"""

from __future__ import annotations

from enum import Enum

from precond.errors import ModelError


class Activation(Enum):
    """The function between any two linear layers; nothing follows the last one."""

    RELU = "relu"

    @classmethod
    def named(cls, name: Activation | str | None) -> Activation | None:
        """By its name in options and arguments; ModelError for another name."""
        try:
            return None if name is None else cls(name)
        except ValueError:
            raise ModelError(
                "activation",
                expected=" or ".join(item.value for item in cls),
                got=repr(name),
                fix="Export a network with other activations to ONNX, or save it as an "
                "exported program",
            ) from None

    def __str__(self) -> str:
        return {Activation.RELU: "ReLU"}[self]


class Pools(Enum):
    """How a max-pool is read: as one layer without decisions, or as comparisons of its entries."""

    WINDOWS = "windows"
    COMPARISONS = "comparisons"

    @classmethod
    def named(cls, name: Pools | str) -> Pools:
        """By its name in options and arguments; ModelError for another name."""
        try:
            return cls(name)
        except ValueError:
            expected = " or ".join(item.value for item in cls)
            raise ModelError("pools", expected=expected, got=repr(name)) from None


def stated_origin(origin: str, activation: Activation) -> str:
    """The network's origin with what its user stated."""
    return f"{origin} (activation as stated by the user: {activation})"


def superfluous(origin: str) -> ModelError:
    """For a statement about a model that describes itself."""
    return ModelError(
        f"{origin}: activation",
        expected="it for a state dict alone",
        got="a model that says its activations itself",
        fix="Leave it out",
    )
