"""Activation signatures: which neurons were on, for every input, one bit each.

Bits are packed eight to a byte (big-endian, ``numpy.packbits``), layer by layer, so a
pattern is matched with one AND and one comparison per byte.  Arrays may be memory-mapped:
recorded to a folder and read back from it, data larger than memory is handled in pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.network.classes import Classes

Bits = NDArray[np.uint8]
CHUNK = 1 << 18  # inputs matched at once


@dataclass(frozen=True, eq=False, kw_only=True)
class Signatures:
    """On/off bits of chosen layers for a data set, plus the outputs.

    ``bits[layer]`` (N, ⌈width/8⌉) packed, ``widths[layer]`` neurons, ``outputs`` (N, K) the
    logits in float64, read as ``classes`` (None: K classes, or two of one logit).
    ``pre_activations[layer]`` (N, width) float64 only where they were asked for.
    """

    layers: tuple[str, ...]
    widths: Mapping[str, int]
    bits: Mapping[str, Bits]
    outputs: NDArray[np.float64]
    pre_activations: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    classes: Classes | None = None

    def __len__(self) -> int:
        return int(self.outputs.shape[0])

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The network's class, (N,)."""
        classes = self.classes or Classes(self.outputs.shape[1])
        found = np.empty(len(self), dtype=np.int64)
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            found[part] = classes.predicted(self.outputs[part])
        found.setflags(write=False)
        return found

    def _require(self, layer: str) -> str:
        if layer not in self.bits:
            raise DataError(
                f"signatures of layer {layer!r}",
                expected=f"one of {', '.join(self.layers)}",
                got="not recorded",
                fix="Record again with that layer",
            )
        return layer

    def decisions(
        self, layer: str, rows: slice | NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        """On/off (rows, width) of one layer."""
        packed = self.bits[self._require(layer)]
        part = packed if rows is None else packed[rows]
        return np.unpackbits(part, axis=1, count=self.widths[layer]).astype(np.bool_)

    def values(self, layer: str) -> NDArray[np.float64]:
        """Pre-activations (N, width); they must have been recorded."""
        if layer not in self.pre_activations:
            raise DataError(
                f"pre-activations of layer {layer!r}",
                expected="a recording with values",
                got="on/off bits only",
                fix="Record with values=True",
            )
        return self.pre_activations[layer]

    def matches(self, layer: str, on: Sequence[int], off: Sequence[int]) -> NDArray[np.bool_]:
        """Which inputs have all of ``on`` on and all of ``off`` off, (N,)."""
        width = self.widths[self._require(layer)]
        care = np.zeros(width, dtype=np.bool_)
        want = np.zeros(width, dtype=np.bool_)
        care[list(on)] = True
        care[list(off)] = True
        want[list(on)] = True
        mask, target = np.packbits(care), np.packbits(want)
        used = np.flatnonzero(mask)
        packed = self.bits[layer]
        result = np.ones(len(self), dtype=np.bool_)
        for start in range(0, len(self), CHUNK):
            part, own = packed[start : start + CHUNK], result[start : start + CHUNK]
            for column in used:
                own &= (part[:, column] & mask[column]) == target[column]
        if set(on) & set(off):
            result[:] = False
        return result

    def rows(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Signatures:
        """The same recording for some of the inputs."""
        return Signatures(
            layers=self.layers,
            widths=self.widths,
            bits={layer: bits[which] for layer, bits in self.bits.items()},
            outputs=self.outputs[which],
            pre_activations={layer: z[which] for layer, z in self.pre_activations.items()},
            classes=self.classes,
        )


def joined(first: Signatures, second: Signatures) -> Signatures:
    """The inputs of both, which have the same layers; values where both have them."""
    known = first.pre_activations.keys() & second.pre_activations.keys()
    return Signatures(
        layers=first.layers,
        widths=first.widths,
        bits={
            layer: np.concatenate([first.bits[layer], second.bits[layer]]) for layer in first.layers
        },
        outputs=np.concatenate([first.outputs, second.outputs]),
        pre_activations={
            layer: np.concatenate([first.pre_activations[layer], second.pre_activations[layer]])
            for layer in known
        },
        classes=first.classes,
    )
