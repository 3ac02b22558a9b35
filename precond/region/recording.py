"""Signatures of a data set, recorded by running the network over it, in memory or in a folder.

``record_in_time``: of as many inputs as there is time for.  Where time ends early the inputs that
were recorded lie spread over the data set, which may be sorted by class: every ``SPREAD``-th is
taken first, then their neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from precond.basics.arguments import items, path_of
from precond.errors import DataError
from precond.network.device import require_device
from precond.network.evaluate import check_inputs, iterate
from precond.network.graph import Network
from precond.region.signature import Signatures

Rows = NDArray[np.int64]
SPREAD = 8
T = TypeVar("T", bound=np.generic)


def record_in_time(
    network: Network,
    inputs: NDArray[np.floating],
    layers: Sequence[str] | None = None,
    *,
    until: Limit,
    values: bool | Sequence[str] = False,
    device: str = "cpu",
) -> tuple[Signatures, Rows]:
    """As ``record``, and the rows of ``inputs`` that were recorded, ascending: all, unless
    ``until`` passes before."""
    array = check_inputs(network, inputs)
    parts: list[Signatures] = []
    taken: list[Rows] = []
    for first in range(min(SPREAD, max(len(array), 1))):
        rows = np.arange(first, len(array), SPREAD)
        part = record(
            network, array[first::SPREAD], layers, values=values, device=device, until=until
        )
        parts.append(part)
        taken.append(rows[: len(part)])
        if len(part) < len(rows) or until.passed:
            break
    every = np.concatenate(taken)
    return _in_order(parts, np.argsort(every)), np.sort(every)


def _in_order(parts: Sequence[Signatures], order: Rows) -> Signatures:
    """The parts' inputs together, the ``order[k]``-th at k."""
    place = np.argsort(order)
    ends = np.cumsum([len(part) for part in parts])
    rows = np.split(place, ends[:-1])

    def whole(pieces: Sequence[NDArray[T]]) -> NDArray[T]:
        result: NDArray[T] = np.empty((len(order), *pieces[0].shape[1:]), dtype=pieces[0].dtype)
        for where, piece in zip(rows, pieces, strict=True):
            result[where] = piece
        return result

    one = parts[0]
    return replace(
        one,
        bits={layer: whole([p.bits[layer] for p in parts]) for layer in one.layers},
        outputs=whole([p.outputs for p in parts]),
        pre_activations={
            layer: whole([p.pre_activations[layer] for p in parts]) for layer in one.pre_activations
        },
    )


CONTENT = "signatures.json"
FORMAT = 1


class Limit(Protocol):
    """Says when time is up, as a ``Deadline`` does."""

    @property
    def passed(self) -> bool: ...


def record(  # noqa: PLR0913 - options of a public function, each by its keyword
    network: Network,
    inputs: NDArray[np.floating],
    layers: Sequence[str] | None = None,
    *,
    values: bool | Sequence[str] = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    store: Path | None = None,
    batch: int | None = None,
    until: Limit | None = None,
) -> Signatures:
    """Record the on/off signature of every input at ``layers`` (default: all decision layers).

    ``inputs`` (N, …) may be memory-mapped; it is read batch by batch.  With ``store``, bits
    and outputs are written to memory-mapped ``.npy`` files in that folder and never held
    whole.  ``values=True`` keeps pre-activations as well, (N, width) float64 per layer; names of
    layers keep those of these alone (not together with ``store``).
    ``until``: once it has passed no batch is begun, and the signatures are those of the first
    inputs alone (at least one batch); not together with ``store``.
    """
    array = check_inputs(network, inputs)
    return record_blocks(
        network,
        [array],
        len(array),
        layers=layers,
        values=values,
        device=device,
        dtype=dtype,
        store=store,
        batch=batch,
        until=until,
    )


def record_blocks(  # noqa: PLR0913 - options of a public function, each by its keyword
    network: Network,
    blocks: Iterable[NDArray[np.floating]],
    count: int,
    layers: Sequence[str] | None = None,
    *,
    values: bool | Sequence[str] = False,
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
    valued = tuple(n for n in chosen if values is True or (values is not False and n in values))
    if store is not None and not isinstance(values, bool):
        raise DataError("a recording in a folder", expected="values of all layers", got="of some")
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
        for k, layer in enumerate(valued)
    }
    results = allocate("outputs", (count, network.output_size), np.float64)
    wanted = list(dict.fromkeys([*sources.values(), network.output]))
    last, read = 0, partial(iterate, device=device, dtype=dtype, batch=batch)
    for rows, found in _batches(read, network, _sized(blocks, count), wanted=wanted):
        for layer, source in sources.items():
            flat = found[source].flatten(1)
            bits[layer][rows] = np.packbits((flat > 0).cpu().numpy(), axis=1)
            if layer in z:
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
        _describe(store, network, chosen, widths=widths, count=count, values=bool(values))
    return Signatures(
        layers=chosen,
        widths=widths,
        bits=bits,
        outputs=results,
        pre_activations=z,
        classes=network.classes,
    )


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
        layers=layers,
        widths=widths,
        bits={n: mapped(f"bits-{k}", np.uint8, -(-widths[n] // 8)) for k, n in enumerate(layers)},
        outputs=mapped("outputs", np.float64, outputs),
        pre_activations={
            n: mapped(f"values-{k}", np.float64, widths[n])
            for k, n in enumerate(layers if with_values else ())
        },
        classes=None if network is None else network.classes,
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
