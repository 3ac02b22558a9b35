"""``ChannelPattern``: which channels of a convolutional layer fire, and where.

A ReLU layer behind a convolution holds one map for each channel.  A channel *fires* in a region of
its map where the pre-activation of at least one place there is positive; it is *silent* there
where none is.  A region is the whole map or a quadrant of it.  A map of odd height has its middle
row in the upper half, one of odd width its middle column in the left half.

Silence is a conjunction of neurons that are off, and so an ordinary ``DecisionPattern``.  Firing is
a disjunction, which no convex region expresses: ``silent_part`` leaves it out.  The inputs of the
silent part include those of the pattern, so that what is proved of the silent part holds of the
pattern; an input that refutes a claim about the silent part need not have the pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.basics.notebook import NotebookLine
from precond.basics.plain import plain_whole
from precond.errors import QueryError
from precond.network.graph import Network
from precond.network.pools import comparisons
from precond.printable import printable
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Places = NDArray[np.int64]
CHUNK = 512  # inputs whose maps are looked at at once


class MapRegion(Enum):
    """A part of a map."""

    ANYWHERE = "anywhere"
    UPPER_LEFT = "upper left"
    UPPER_RIGHT = "upper right"
    LOWER_LEFT = "lower left"
    LOWER_RIGHT = "lower right"

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Its places in a map, (height, width)."""
        upper = (np.arange(height) < -(-height // 2))[:, None]
        left = (np.arange(width) < -(-width // 2))[None, :]
        return {
            MapRegion.ANYWHERE: np.ones((height, width), dtype=np.bool_),
            MapRegion.UPPER_LEFT: upper & left,
            MapRegion.UPPER_RIGHT: upper & ~left,
            MapRegion.LOWER_LEFT: ~upper & left,
            MapRegion.LOWER_RIGHT: ~upper & ~left,
        }[self]


REGIONS = tuple(MapRegion)
FIELDS = {"layer", "shape", "channel", "region", "fires"}  # of a literal in JSON


@dataclass(frozen=True, order=True)
class MapShape:
    """The maps of one layer."""

    layer: str
    channels: int
    height: int
    width: int

    def places(self, channel: int, region: MapRegion) -> Places:
        """Flat indices of the neurons of a channel in a region."""
        inside = np.flatnonzero(region.mask(self.height, self.width))
        return channel * self.height * self.width + inside


def map_layers(network: Network) -> tuple[MapShape, ...]:
    """The decision layers whose neurons form maps of more than one place; not the comparisons of
    a max-pool, which say nothing by firing somewhere."""
    compared = comparisons(network)
    return tuple(
        MapShape(layer, *shape)
        for layer in network.decision_layers
        if layer not in compared
        and len(shape := network.shapes[layer]) == 3
        and shape[1] * shape[2] > 1
    )


@dataclass(frozen=True)
class ChannelLiteral:
    """Channel ``channel`` of a layer fires in ``region``, or is silent there."""

    maps: MapShape
    channel: int
    region: MapRegion
    fires: bool

    def __post_init__(self) -> None:
        if not 0 <= self.channel < self.maps.channels:
            raise QueryError(
                f"channel of {self.maps.layer}",
                expected=f"0..{self.maps.channels - 1}",
                got=str(self.channel),
            )

    @property
    def order(self) -> tuple[MapShape, int, int, bool]:
        """Literals stand in a pattern by layer, channel and region."""
        return self.maps, self.channel, REGIONS.index(self.region), self.fires

    @property
    def places(self) -> Places:
        """Flat indices of the neurons that it is about."""
        return self.maps.places(self.channel, self.region)

    @property
    def where(self) -> str:
        """The region as it stands in a sentence, after "fires" or "is silent"."""
        if self.region is MapRegion.ANYWHERE:
            return "somewhere" if self.fires else "everywhere"
        return f"{'somewhere ' if self.fires else ''}in the {self.region.value}"

    @property
    def words(self) -> str:
        """Without the layer: ``channel 7 fires somewhere in the upper left``."""
        return f"channel {self.channel} {'fires' if self.fires else 'is silent'} {self.where}"

    def __str__(self) -> str:
        return f"{self.maps.layer}: {self.words}"

    def holds(self, signatures: Signatures) -> NDArray[np.bool_]:
        """For which recorded inputs it is true, (N,)."""
        silent = signatures.matches(self.maps.layer, on=(), off=self.places.tolist())
        return ~silent if self.fires else silent

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": self.maps.layer,
            "shape": [self.maps.channels, self.maps.height, self.maps.width],
            "channel": self.channel,
            "region": self.region.value,
            "fires": self.fires,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChannelLiteral:
        """The inverse of ``to_json``; ValueError or QueryError on anything else."""
        if set(data) != FIELDS:
            raise ValueError(f"a channel literal with the fields {', '.join(map(str, data))}")
        if not isinstance(data["fires"], bool):
            raise ValueError(f"fires: {data['fires']!r}")
        channels, height, width = map(plain_whole, data["shape"])
        maps = MapShape(printable(str(data["layer"])), channels, height, width=width)
        region = MapRegion(data["region"])
        return cls(maps, plain_whole(data["channel"]), region, fires=data["fires"])


@dataclass(frozen=True)
class ChannelPattern(NotebookLine):
    """A conjunction of channel literals; hashable, compared by content."""

    literals: frozenset[ChannelLiteral]

    @classmethod
    def of(cls, literals: Iterable[ChannelLiteral]) -> ChannelPattern:
        return cls(frozenset(literals))

    def __len__(self) -> int:
        return len(self.literals)

    @property
    def in_order(self) -> tuple[ChannelLiteral, ...]:
        return tuple(sorted(self.literals, key=lambda literal: literal.order))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that it is about, sorted."""
        return tuple(sorted({literal.maps.layer for literal in self.literals}))

    @property
    def is_silence(self) -> bool:
        """Whether it has no literal that fires: its silent part is then all of it."""
        return not any(literal.fires for literal in self.literals)

    @cached_property
    def silent_part(self) -> DecisionPattern:
        """The literals that are silent, as neurons that are off."""
        return DecisionPattern(
            off=frozenset(
                (literal.maps.layer, int(place))
                for literal in self.literals
                if not literal.fires
                for place in literal.places
            )
        )

    def check(self, network: Network) -> None:
        """QueryError unless ``network`` has the layers, with maps of that shape."""
        known = map_layers(network)
        for literal in self.in_order:
            if literal.maps not in known:
                raise QueryError(
                    f"channels of layer {literal.maps.layer!r}",
                    expected=", ".join(map(str, known)) or "a network with convolutional layers",
                    got=str(literal.maps),
                )

    def holds(self, signatures: Signatures) -> NDArray[np.bool_]:
        """Which recorded inputs have the pattern, (N,)."""
        result = np.ones(len(signatures), dtype=np.bool_)
        for literal in self.literals:
            result &= literal.holds(signatures)
        return result

    def to_json(self) -> list[dict[str, Any]]:
        """Its literals, in order."""
        return [literal.to_json() for literal in self.in_order]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> ChannelPattern:
        """The inverse of ``to_json``; ValueError or QueryError on anything else."""
        return cls.of(ChannelLiteral.from_json(literal) for literal in data)

    def __repr__(self) -> str:
        return f"ChannelPattern({self})"

    def __str__(self) -> str:
        words = []
        for layer in self.layers:
            own = [one.words for one in self.in_order if one.maps.layer == layer]
            words.append(f"{layer}: {', '.join(own)}")
        return "; ".join(words) or "true"


def pooled_signatures(signatures: Signatures, maps: MapShape) -> Signatures:
    """A recording of one layer of channels in place of neurons: decision
    ``len(REGIONS) · c + r`` says whether channel c fires in region r of ``REGIONS``."""
    masks = np.stack([r.mask(maps.height, maps.width).reshape(-1) for r in REGIONS])
    width = maps.channels * len(REGIONS)
    bits = np.zeros((len(signatures), -(-width // 8)), dtype=np.uint8)
    for start in range(0, len(signatures), CHUNK):
        part = slice(start, start + CHUNK)
        on = signatures.decisions(maps.layer, part).reshape(-1, maps.channels, masks.shape[1])
        fires = (on.astype(np.float32) @ masks.T.astype(np.float32)) > 0
        bits[part] = np.packbits(fires.reshape(len(on), width), axis=1)
    return Signatures(
        layers=(maps.layer,),
        widths={maps.layer: width},
        bits={maps.layer: bits},
        outputs=signatures.outputs,
        classes=signatures.classes,
    )


def channel_pattern(pattern: DecisionPattern, maps: MapShape) -> ChannelPattern:
    """What a pattern over the decisions of ``pooled_signatures`` says of channels."""
    return ChannelPattern.of(
        ChannelLiteral(maps, k // len(REGIONS), REGIONS[k % len(REGIONS)], fires=fires)
        for neurons, fires in ((pattern.on, True), (pattern.off, False))
        for _, k in neurons
    )
