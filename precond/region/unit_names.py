"""``UnitNames``: what units mean to people, such as "circle", by layer and unit.

A unit is a value of a layer, or a map of a layer of pictures (C, H, W), whose values all share its
name.  Names come from network dissection and are significant there; a unit without one has none.
The names of one network are of no use for another, so they know its hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from precond.basics.plain import FOREIGN, plain_whole
from precond.errors import DataError
from precond.printable import printable

if TYPE_CHECKING:
    from precond.network.graph import Network

FORMAT = 1


@dataclass(frozen=True)
class LayerNames:
    """``names``: unit → concept; ``places``: values of a unit, 1 where it is a single value."""

    names: Mapping[int, str]
    places: int = 1


@dataclass(frozen=True)
class UnitNames:
    """``layers``: of the network with this ``hash`` (empty: of none, and there are no names)."""

    layers: Mapping[str, LayerNames] = field(default_factory=dict)
    hash: str = ""

    def of(self, layer: str, index: int) -> str | None:
        """The name of the unit that the flat ``index`` of a layer belongs to."""
        found = self.layers.get(layer)
        return None if found is None else found.names.get(index // found.places)

    def shown(self, layer: str, index: int) -> str:
        """The index, with the unit's name where it has one: ``7 (circle)``."""
        name = self.of(layer, index)
        return str(index) if name is None else f"{index} ({name})"

    @property
    def count(self) -> int:
        """How many units have a name."""
        return sum(len(layer.names) for layer in self.layers.values())

    def to_json(self) -> dict[str, object]:
        """The content of a file of names."""
        layers = {
            layer: {
                "places": found.places,
                "units": {str(unit): name for unit, name in sorted(found.names.items())},
            }
            for layer, found in self.layers.items()
        }
        return {"format": FORMAT, "network": self.hash, "layers": layers}

    @classmethod
    def from_json(cls, content: object, network: Network, origin: str) -> UnitNames:
        """Names of ``network``, or of its logits; DataError for others, or another kind of file."""
        try:
            owner, layers = _read(content)
        except FOREIGN as error:
            raise DataError(
                f"unit names {origin}",
                expected="units.json, as 'precond concepts --out' writes it",
                got=type(error).__name__,
            ) from None
        if owner not in (network.hash, network.logits.hash):
            raise DataError(
                f"unit names {origin}",
                expected=f"names of the network with hash {network.hash[:12]}…",
                got=f"those of {owner[:12]}…",
                fix="Run 'precond concepts' on this model",
            )
        return cls(layers, owner)


def _read(content: Any) -> tuple[str, dict[str, LayerNames]]:
    """Hash and layers of a file's content; an error where it is something else."""
    if plain_whole(content["format"]) != FORMAT:
        raise ValueError(f"format {content['format']}")
    layers = {
        printable(str(layer)): LayerNames(
            {int(unit): printable(str(name)) for unit, name in one["units"].items()},
            places=plain_whole(one["places"]),
        )
        for layer, one in content["layers"].items()
    }
    if any(one.places < 1 for one in layers.values()):
        raise ValueError("a unit without a place")
    return str(content["network"]), layers
