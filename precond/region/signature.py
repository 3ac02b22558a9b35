"""Activation signatures: which neurons were on, for every input, one bit each.

Bits are packed eight to a byte (big-endian, ``numpy.packbits``), layer by layer, so a
pattern is matched with one AND and one comparison per byte.  Arrays may be memory-mapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from precond.errors import DataError
from precond.network.evaluate import check_inputs, iterate
from precond.network.graph import Network

Bits = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Signatures:
    """On/off bits of chosen layers for a data set, plus the outputs.

    ``bits[layer]`` (N, ⌈width/8⌉) packed, ``widths[layer]`` neurons, ``outputs`` (N, K)
    float64.  ``pre_activations[layer]`` (N, width) float64 only where they were asked for.
    """

    layers: tuple[str, ...]
    widths: Mapping[str, int]
    bits: Mapping[str, Bits]
    outputs: NDArray[np.float64]
    pre_activations: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.outputs.shape[0])

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Index of the largest output, (N,)."""
        return np.asarray(self.outputs.argmax(axis=1), dtype=np.int64)

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
        for column in used:
            result &= (packed[:, column] & mask[column]) == target[column]
        if set(on) & set(off):
            result[:] = False
        return result

    def rows(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Signatures:
        """The same recording for some of the inputs."""
        return Signatures(
            self.layers,
            self.widths,
            {layer: bits[which] for layer, bits in self.bits.items()},
            self.outputs[which],
            {layer: z[which] for layer, z in self.pre_activations.items()},
        )


def record(
    network: Network,
    inputs: NDArray[np.floating],
    layers: Sequence[str] | None = None,
    *,
    values: bool = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    store: Path | None = None,
    batch: int | None = None,
) -> Signatures:
    """Record the on/off signature of every input at ``layers`` (default: all decision layers).

    ``inputs`` (N, …) may be memory-mapped; it is read batch by batch.  With ``store``, bits
    and outputs are written to memory-mapped ``.npy`` files in that folder and never held
    whole.  ``values=True`` keeps pre-activations as well, (N, width) float64 per layer.
    """
    array = check_inputs(network, inputs)
    chosen = tuple(network.decision_layers if layers is None else layers)
    sources = {layer: network.pre_activation(layer) for layer in chosen}
    widths = {layer: network.width(layer) for layer in chosen}
    count = len(array)

    def allocate(name: str, shape: tuple[int, int], kind: type) -> NDArray:  # type: ignore[type-arg]
        if store is None:
            return np.empty(shape, dtype=kind)
        store.mkdir(parents=True, exist_ok=True)
        return np.lib.format.open_memmap(store / f"{name}.npy", mode="w+", dtype=kind, shape=shape)

    bits = {
        layer: allocate(f"bits-{k}", (count, -(-widths[layer] // 8)), np.uint8)
        for k, layer in enumerate(chosen)
    }
    z = {
        layer: allocate(f"values-{k}", (count, widths[layer]), np.float64)
        for k, layer in enumerate(chosen if values else ())
    }
    results = allocate("outputs", (count, network.output_size), np.float64)
    wanted = list(dict.fromkeys([*sources.values(), network.output]))
    for rows, found in iterate(network, array, wanted, device=device, dtype=dtype, batch=batch):
        for layer, source in sources.items():
            flat = found[source].flatten(1)
            bits[layer][rows] = np.packbits((flat > 0).cpu().numpy(), axis=1)
            if values:
                z[layer][rows] = flat.cpu().numpy()
        results[rows] = found[network.output].flatten(1).cpu().numpy()
    return Signatures(chosen, widths, bits, results, z)
