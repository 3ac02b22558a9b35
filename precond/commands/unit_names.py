"""``--concepts`` of commands that show units: their names, saved or found by dissection."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.plain import once
from precond.region.unit_names import LayerNames, UnitNames

if TYPE_CHECKING:
    from precond.data.dataset import Dataset
    from precond.network.graph import Network

INPUTS = 1000
TOP = 0.05
FIX = "Give units.json, which 'precond concepts --out' writes, or masks (.npz)"


def add_unit_names(command: argparse.ArgumentParser) -> None:
    """--concepts."""
    command.add_argument(
        "--concepts",
        type=Path,
        metavar="FILE",
        help="name units by concepts where that is significant: units.json of 'precond concepts', "
        "or an .npz file of masks over DATA",
    )


def unit_names(
    arguments: argparse.Namespace, network: Network, data: Dataset
) -> tuple[UnitNames, tuple[str, ...]]:
    """The names, and a note of how many there are; none without --concepts."""
    path: Path | None = arguments.concepts
    if path is None:
        return UnitNames(), ()
    names = _saved(path, network) if path.suffix == ".json" else _dissected(path, network, data)
    layers = ", ".join(names.layers) or "no layer"
    return names, (f"{names.count} units have the name of a concept ({path.name}: {layers})",)


def _saved(path: Path, network: Network) -> UnitNames:
    from precond.errors import DataError

    try:
        content = json.loads(path.read_text("utf-8"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        got = str(error).splitlines()[0][:80]
        raise DataError(f"unit names {path}", expected="a JSON file", got=got, fix=FIX) from None
    return UnitNames.from_json(content, network, str(path))


def _dissected(path: Path, network: Network, data: Dataset) -> UnitNames:
    """Names of the units of all decision layers."""
    from attribution.concepts.dissection import dissect
    from attribution.slices import Slice
    from precond.basics.evenly import evenly
    from precond.data.concepts import read_concepts, require_masks
    from precond.errors import DataError

    given = read_concepts(path, shape=network.input_shape)
    if not given.masks:
        raise DataError(f"concepts {path}", expected="masks", got="examples only", fix=FIX)
    require_masks(given.masks, data)
    rows = evenly(len(data), INPUTS)
    inputs = data.flat[rows].reshape(-1, *network.input_shape)
    masks = {name: mask[rows] for name, mask in given.masks.items() if mask[rows].any()}
    layers = {}
    for layer in network.decision_layers:
        if len(network.shapes[layer]) in (1, 3):
            found = dissect(Slice(network, layer), inputs, masks, top=TOP, rotations=0)
            layers[layer] = LayerNames(found.significant, found.places)
    return UnitNames(layers, network.hash)
