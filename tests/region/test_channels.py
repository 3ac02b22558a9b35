"""Channels that fire: maps small enough to read, and a slow count beside the fast one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from blobs import chain

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Node, ReLU, Reshape
from precond.region.channels import (
    REGIONS,
    ChannelLiteral,
    ChannelPattern,
    MapRegion,
    MapShape,
    channel_pattern,
    map_layers,
    pooled_signatures,
)
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.region.signature import Signatures

MAPS = MapShape("relu", 2, 3, width=4)


def recorded(on: np.ndarray, layer: str = "relu") -> Signatures:
    """Maps (N, C, H, W) of zeros and ones as a recording."""
    flat = on.reshape(len(on), -1).astype(bool)
    return Signatures(
        layers=(layer,),
        widths={layer: flat.shape[1]},
        bits={layer: np.packbits(flat, axis=1)},
        outputs=np.zeros((len(on), 2)),
    )


def literal(channel: int, region: MapRegion, *, fires: bool) -> ChannelLiteral:
    return ChannelLiteral(MAPS, channel, region, fires=fires)


def test_quadrants_share_a_map_out_with_the_middle_row_above() -> None:
    shown = np.full((3, 5), "  ")
    for region in REGIONS[1:]:
        mask = region.mask(3, 5)
        assert (shown[mask] == "  ").all()
        shown[mask] = region.value[0] + region.value.split()[1][0]
    assert shown.tolist() == [
        ["ul", "ul", "ul", "ur", "ur"],
        ["ul", "ul", "ul", "ur", "ur"],
        ["ll", "ll", "ll", "lr", "lr"],
    ]
    assert MapRegion.ANYWHERE.mask(3, 5).all()


def test_a_channel_fires_where_some_neuron_is_on_and_is_silent_where_none_is() -> None:
    on = np.zeros((2, 2, 3, 4))
    on[1, 1, 1, 3] = 1  # the second input fires in the second channel, upper right
    signatures = recorded(on)
    fires = literal(1, MapRegion.UPPER_RIGHT, fires=True)
    assert fires.holds(signatures).tolist() == [False, True]
    silent = literal(1, MapRegion.ANYWHERE, fires=False)
    assert silent.holds(signatures).tolist() == [True, False]
    assert literal(0, MapRegion.ANYWHERE, fires=True).holds(signatures).tolist() == [False, False]
    both = ChannelPattern.of([fires, literal(1, MapRegion.LOWER_LEFT, fires=False)])
    assert both.holds(signatures).tolist() == [False, True]
    assert str(both) == (
        "relu: channel 1 fires somewhere in the upper right, channel 1 is silent in the lower left"
    )


def test_pooled_decisions_say_what_literals_say() -> None:
    on = np.random.default_rng(0).random((600, 2, 3, 4)) < 0.08
    signatures = recorded(on)
    pooled = pooled_signatures(signatures, MAPS).decisions("relu")
    for channel in range(2):
        for k, region in enumerate(REGIONS):
            slow = [bool(own[channel][region.mask(3, 4)].any()) for own in on]
            assert pooled[:, channel * len(REGIONS) + k].tolist() == slow
            assert literal(channel, region, fires=True).holds(signatures).tolist() == slow
    rule = channel_pattern(
        DecisionPattern(frozenset({("relu", 6)}), frozenset({("relu", 0)})), MAPS
    )
    assert rule == ChannelPattern.of(
        [
            literal(1, MapRegion.UPPER_LEFT, fires=True),
            literal(0, MapRegion.ANYWHERE, fires=False),
        ]
    )


def test_silence_is_an_ordinary_pattern_and_firing_is_left_out_of_it() -> None:
    silent = literal(1, MapRegion.LOWER_RIGHT, fires=False)
    pattern = ChannelPattern.of([silent, literal(0, MapRegion.ANYWHERE, fires=True)])
    assert not pattern.is_silence
    assert pattern.silent_part.off == {("relu", 22), ("relu", 23)}
    assert not pattern.silent_part.on
    alone = ChannelPattern.of([silent])
    assert alone.is_silence
    signatures = recorded(np.random.default_rng(1).random((200, 2, 3, 4)) < 0.2)
    assert (alone.silent_part.holds(signatures) == alone.holds(signatures)).all()
    assert not (pattern.holds(signatures) & ~pattern.silent_part.holds(signatures)).any()


def test_a_pattern_reads_back_and_nothing_else_does() -> None:
    pattern = ChannelPattern.of(
        [literal(k, region, fires=k == 0) for k in range(2) for region in REGIONS]
    )
    assert ChannelPattern.from_json(pattern.to_json()) == pattern
    good = pattern.to_json()[0]
    wrong: list[dict[str, Any]] = [
        {**good, "region": "middle"},
        {**good, "fires": 1},
        {**good, "fires": "no"},
        {**good, "more": 0},
        {key: value for key, value in good.items() if key != "fires"},
        {**good, "channel": 2},
        {**good, "channel": 0.5},
        {**good, "shape": [2, 3]},
    ]
    for other in wrong:
        with pytest.raises((ValueError, QueryError)):
            ChannelPattern.from_json([other])


def test_a_pattern_is_of_a_network_with_maps_of_its_shape() -> None:
    network = Network(
        (
            Node("conv", Conv2d(np.ones((2, 1, 1, 1)), np.zeros(2)), (INPUT,)),
            Node("relu", ReLU(), ("conv",)),
            Node("flat", Reshape((24,)), ("relu",)),
            Node("out", Affine(np.ones((2, 24)), np.zeros(2)), ("flat",)),
        ),
        (1, 3, 4),
    )
    assert map_layers(network) == (MAPS,)
    fires = ChannelPattern.of([literal(1, MapRegion.UPPER_LEFT, fires=True)])
    fires.check(network)
    pixels = np.zeros((1, 12))
    assert fires.holds(record(network, pixels)).tolist() == [False]
    pixels[0, 1] = 0.5
    assert fires.holds(record(network, pixels)).tolist() == [True]
    other = MapShape("relu", 2, 4, width=3)
    with pytest.raises(QueryError, match="channels of layer 'relu'"):
        ChannelPattern.of([ChannelLiteral(other, 0, MapRegion.ANYWHERE, fires=True)]).check(network)
    dense = chain([(np.ones((2, 1)), np.zeros(2)), (np.ones((2, 2)), np.zeros(2))])
    assert map_layers(dense) == ()
    with pytest.raises(QueryError, match="convolutional"):
        fires.check(dense)
