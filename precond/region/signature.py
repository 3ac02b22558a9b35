"""Activation signatures: which neurons were on, for every input, one bit each.

Bits are packed eight to a byte (big-endian, ``numpy.packbits``), layer by layer, so a
pattern is matched with one AND and one comparison per byte.  Arrays may be memory-mapped:
recorded to a folder and read back from it, data larger than memory is handled in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from precond.basics.arguments import items, path_of
from precond.errors import DataError
from precond.network.classes import Classes
from precond.network.device import require_device
from precond.network.evaluate import check_inputs, iterate
from precond.network.graph import Network

Bits = NDArray[np.uint8]
CHUNK = 1 << 18  # inputs matched at once
CONTENT = "signatures.json"
FORMAT = 1


class Limit(Protocol):
    """Says when time is up, as a ``Deadline`` does."""

    @property
    def passed(self) -> bool: ...


@dataclass(frozen=True, eq=False)
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
            self.layers,
            self.widths,
            {layer: bits[which] for layer, bits in self.bits.items()},
            self.outputs[which],
            {layer: z[which] for layer, z in self.pre_activations.items()},
            self.classes,
        )


def joined(first: Signatures, second: Signatures) -> Signatures:
    """The inputs of both, which have the same layers; values where both have them."""
    known = first.pre_activations.keys() & second.pre_activations.keys()
    return Signatures(
        first.layers,
        first.widths,
        {layer: np.concatenate([first.bits[layer], second.bits[layer]]) for layer in first.layers},
        np.concatenate([first.outputs, second.outputs]),
        {
            layer: np.concatenate([first.pre_activations[layer], second.pre_activations[layer]])
            for layer in known
        },
        first.classes,
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
    until: Limit | None = None,
) -> Signatures:
    """Record the on/off signature of every input at ``layers`` (default: all decision layers).

    ``inputs`` (N, …) may be memory-mapped; it is read batch by batch.  With ``store``, bits
    and outputs are written to memory-mapped ``.npy`` files in that folder and never held
    whole.  ``values=True`` keeps pre-activations as well, (N, width) float64 per layer.
    ``until``: once it has passed no batch is begun, and the signatures are those of the first
    inputs alone (at least one batch); not together with ``store``.
    """
    array = check_inputs(network, inputs)
    return record_blocks(
        network,
        [array],
        len(array),
        layers,
        values=values,
        device=device,
        dtype=dtype,
        store=store,
        batch=batch,
        until=until,
    )


def record_blocks(
    network: Network,
    blocks: Iterable[NDArray[np.floating]],
    count: int,
    layers: Sequence[str] | None = None,
    *,
    values: bool = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    store: Path | None = None,
    batch: int | None = None,
    until: Limit | None = None,
) -> Signatures:
    """As ``record``, of ``count`` inputs that come in blocks (k, …), one after another."""
    require_device(device)
    if until is not None and store is not None:
        raise DataError("a recording in a folder", expected="all inputs", got="a time limit")
    chosen = items("layers", network.decision_layers if layers is None else layers, "names")
    sources = {layer: network.pre_activation(layer) for layer in chosen}
    widths = {layer: network.width(layer) for layer in chosen}
    if store is not None:
        (store / CONTENT).unlink(missing_ok=True)  # until all is written

    def allocate(name: str, shape: tuple[int, int], kind: type) -> NDArray[Any]:
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
    last, read = 0, partial(iterate, device=device, dtype=dtype, batch=batch)
    for rows, found in _batches(read, network, _sized(blocks, count), wanted):
        for layer, source in sources.items():
            flat = found[source].flatten(1)
            bits[layer][rows] = np.packbits((flat > 0).cpu().numpy(), axis=1)
            if values:
                z[layer][rows] = flat.cpu().numpy()
        results[rows] = found[network.output].flatten(1).cpu().numpy()
        last = rows.stop
        if until is not None and until.passed:
            break
    if last < count:
        bits = {layer: found[:last] for layer, found in bits.items()}
        z = {layer: found[:last] for layer, found in z.items()}
        results = results[:last]
    if store is not None:
        _describe(store, network, chosen, widths, count, values)
    return Signatures(chosen, widths, bits, results, z, network.classes)


def open_signatures(folder: Path | str, network: Network | None = None) -> Signatures:
    """What ``record`` wrote to a folder, memory-mapped; DataError where it is not whole, or
    not of ``network``."""

    folder = path_of("folder", folder)

    def wrong(got: str, expected: str = "a folder that a recording was written to") -> DataError:
        return DataError(f"signatures {folder}", expected=expected, got=got, fix="Record again")

    try:
        said = json.loads((folder / CONTENT).read_text(encoding="utf-8"))
    except OSError as error:
        got = f"no {CONTENT} (a recording that was cut short has none)"
        raise wrong(got) from error
    except (ValueError, RecursionError) as error:
        raise wrong(f"{CONTENT}: {error}") from error
    try:
        if said["format"] != FORMAT:
            raise wrong(f"format {said['format']!r}", f"format {FORMAT}")
        if network is not None and said["network"] != network.hash:
            raise wrong(f"hash {str(said['network'])[:12]}…", f"network {network.hash[:12]}…")
        layers = tuple(str(name) for name in said["layers"])
        widths = {layer: int(width) for layer, width in zip(layers, said["widths"], strict=True)}
        count, outputs = int(said["inputs"]), int(said["outputs"])
        with_values = bool(said["values"])
    except (LookupError, TypeError, ValueError) as error:
        raise wrong(f"{CONTENT}: {error!r}") from error

    def mapped(name: str, kind: type, width: int) -> NDArray[Any]:
        try:
            found = np.lib.format.open_memmap(folder / f"{name}.npy", mode="r")
        except (OSError, ValueError) as error:
            raise wrong(f"{name}.npy: {error}") from error
        if found.dtype != kind or found.shape != (count, width):
            raise wrong(f"{name}.npy of {found.dtype} {found.shape}", f"{(count, width)}")
        return found

    return Signatures(
        layers,
        widths,
        {n: mapped(f"bits-{k}", np.uint8, -(-widths[n] // 8)) for k, n in enumerate(layers)},
        mapped("outputs", np.float64, outputs),
        {
            n: mapped(f"values-{k}", np.float64, widths[n])
            for k, n in enumerate(layers if with_values else ())
        },
        None if network is None else network.classes,
    )


def _describe(
    store: Path,
    network: Network,
    layers: Sequence[str],
    widths: Mapping[str, int],
    count: int,
    values: bool,
) -> None:
    """Say what the folder holds: the last thing that is written."""
    content = {
        "format": FORMAT,
        "network": network.hash,
        "layers": list(layers),
        "widths": [widths[layer] for layer in layers],
        "inputs": count,
        "outputs": network.output_size,
        "values": values,
    }
    (store / CONTENT).write_text(json.dumps(content), encoding="utf-8")


def _batches(
    read: Callable[..., Iterator[tuple[slice, dict[str, torch.Tensor]]]],
    network: Network,
    blocks: Iterable[NDArray[np.floating]],
    wanted: Sequence[str],
) -> Iterator[tuple[slice, dict[str, torch.Tensor]]]:
    """What ``iterate`` gives of all blocks, the rows counted through."""
    done = 0
    for block in blocks:
        for part, found in read(network, block, wanted):
            yield slice(done + part.start, done + part.stop), found
        done += len(block)


def _sized(blocks: Iterable[NDArray[np.floating]], count: int) -> Iterator[NDArray[np.floating]]:
    """The blocks; DataError unless they have ``count`` rows together."""
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > count:
            break
        if len(block):
            yield block
    if seen != count:
        raise DataError(
            "inputs in blocks", expected=f"{count} rows", got=f"{seen}{' or more' * (seen > count)}"
        )
