"""Channel rules of a network that says in which quadrant of a 4 × 4 picture a pixel is bright.

One channel: z = x − 0.5 for each pixel, and class q's score is the sum of relu(z) over quadrant q.
So "fires in the upper left" is class 0, and so is "silent in the three other quadrants".
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from schemas import faults

from precond.basics.progress import Silent
from precond.cli import main
from precond.data.datasets import Dataset
from precond.errors import QueryError
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.mine.layer_rules.channels import ChannelRule, channel_rules
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Node, ReLU, Reshape
from precond.proof.deadline import FOREVER
from precond.region.channels import ChannelLiteral, ChannelPattern, MapRegion, MapShape
from precond.region.recording import record
from precond.study.analysis import Domain
from precond.study.channel_rules import ChannelPrecondition
from precond.study.channel_search import ChannelSearch
from precond.study.goals import class_goal
from precond.study.options import Options
from precond.study.store import read_preconditions
from precond.study.study import Study, Work
from precond.workers.pool import open_pool

MAPS = MapShape("relu", 1, 4, width=4)
QUADRANTS = tuple(MapRegion)[1:]


def pattern(*literals: tuple[MapRegion, bool]) -> ChannelPattern:
    return ChannelPattern.of(
        ChannelLiteral(MAPS, 0, region, fires=fires) for region, fires in literals
    )


FIRES = tuple(pattern((own, True)) for own in QUADRANTS)
SILENT = tuple(pattern(*((q, False) for q in QUADRANTS if q is not own)) for own in QUADRANTS)


def network() -> Network:
    sums = np.stack([q.mask(4, 4).reshape(-1).astype(float) for q in QUADRANTS])
    return Network(
        (
            Node("conv", Conv2d(np.ones((1, 1, 1, 1)), np.full(1, -0.5)), (INPUT,)),
            Node("relu", ReLU(), ("conv",)),
            Node("flat", Reshape((16,)), ("relu",)),
            Node("out", Affine(sums, np.zeros(4)), ("flat",)),
        ),
        (1, 4, 4),
    )


def pictures(count: int = 200) -> np.ndarray:
    """One pixel of 0.9, the others at most 0.4."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 0.4, size=(count, 16))
    x[np.arange(count), rng.integers(16, size=count)] = 0.9
    return x.reshape(count, 1, 4, 4)


def test_rules_say_where_the_channel_fires() -> None:
    signatures = record(network(), pictures())
    labels = signatures.predicted
    rules = channel_rules(signatures, labels, MAPS)
    assert {rule.label for rule in rules} == {0, 1, 2, 3}
    for rule in rules:
        assert rule.pattern in (FIRES[rule.label], SILENT[rule.label])
        assert rule.precision == 1.0
        assert rule.support == int((labels == rule.label).sum())


def test_a_layer_whose_channels_never_differ_has_no_rules() -> None:
    bright = np.full((20, 1, 4, 4), 0.9)
    assert channel_rules(record(network(), bright), np.arange(20) % 2, MAPS) == ()


def proved_near(rules: tuple[ChannelRule, ...], radius: str) -> tuple[ChannelPrecondition, ...]:
    """What is proved of rules around 60 pictures."""
    own, x = network(), pictures(60)
    signatures = record(own, x)
    data = Dataset("quadrants", x, parts=(np.arange(60), np.arange(0)), natural=(0.0, 1.0))
    study = Study(
        network=own,
        data=data,
        signatures=signatures,
        domain=Domain.parse(f"ball:{radius}", x, (0.0, 1.0)),
        goal=class_goal(own, signatures),
    )
    with open_pool() as pool:
        search = ChannelSearch(Work(study, Options(), pool, progress=Silent()))
        search.rules = rules
        search.prove(FOREVER, study.domain.radius)
        return search.preconditions()


def rule(label: int, own: ChannelPattern) -> ChannelRule:
    return ChannelRule(label=label, pattern=own, support=10, precision=1.0, confidence=0.7)


def test_in_small_balls_both_kinds_are_proved() -> None:
    # Other pixels reach 0.45, so that they stay off; the bright one stays on.
    for one in proved_near((rule(0, FIRES[0]), rule(1, SILENT[1])), "0.05"):
        assert one.near is not None
        assert one.near.is_proved


def test_in_large_balls_silence_proves_and_firing_is_said_to_be_counted() -> None:
    # Other pixels reach 0.7: only where three quadrants are silent the fourth has the class.
    silent, fires, false = proved_near(
        (rule(1, SILENT[1]), rule(0, FIRES[0]), rule(2, pattern((QUADRANTS[0], False)))), "0.3"
    )
    assert silent.near is not None
    assert silent.near.is_proved
    assert fires.near is None
    assert "no convex region" in fires.proved_words
    # With the upper left silent a rival is the upper right or the lower right: it reaches at most
    # Σ relu(x + 0.3 − 0.5), and the bright pixel of the lower left keeps 0.9 − 0.3 − 0.5 = 0.1.
    x = pictures(60).reshape(60, 16)
    own = x[record(network(), x).predicted == 2]
    most = np.stack(
        [
            np.maximum(own[:, MAPS.places(0, q)] - 0.2, 0).sum(axis=1)
            for q in (MapRegion.UPPER_RIGHT, MapRegion.LOWER_RIGHT)
        ]
    )
    safe = int((most.max(axis=0) < 0.1).sum())
    assert 0 < safe < len(own)
    assert false.near is not None
    assert (false.near.proved, false.near.refuted) == (safe, len(own) - safe)


def test_analyze_prints_draws_and_stores_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data, out = tmp_path / "q.onnx", tmp_path / "x.npy", tmp_path / "out"
    write_onnx(network(), model)
    np.save(data, pictures(300).astype(np.float32))
    arguments = ["--budget", "20", "--domain", "ball:0.05", "--per-class", "1"]
    arguments += ["--support-radius", "0.05"]
    assert main(["analyze", str(model), "--inputs", str(data), "--out", str(out), *arguments]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "channel rules" in text
    assert "Rules over channels explain 100 % of" in text
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Rules over channels</h2>" in page
    assert "fires somewhere in the" in page or "is silent in the" in page
    written = json.loads((out / "preconditions.json").read_text(encoding="utf-8"))
    assert not faults(written, "preconditions")
    stored = read_preconditions(out / "preconditions.json")
    assert {one.label for one in stored.channel_rules} == {0, 1, 2, 3}
    for one in stored.channel_rules:
        layer = one.pattern.layers[0]
        assert layer in load(model).decision_layers
        assert one.near is not None
        assert one.near.is_proved
        assert ChannelPrecondition.from_json(one.to_json()).pattern == one.pattern
    assert main(["prove", str(model), str(out / "preconditions.json"), "--budget", "5"]) == 0
    assert "over channels: counted on data" in capsys.readouterr().out


def test_an_unknown_kind_of_literal_is_refused() -> None:
    known = ChannelPrecondition.to_json(proved_near((rule(0, FIRES[0]),), "0.05")[0])
    assert ChannelPrecondition.from_json(known).pattern == FIRES[0]
    strange = json.loads(json.dumps(known))
    strange["pattern"][0]["winner"] = 3
    with pytest.raises(QueryError, match="channel rule"):
        ChannelPrecondition.from_json(strange)
    with pytest.raises(QueryError, match="channel rule"):
        ChannelPrecondition.from_json({**known, "kind": "pool"})


def places(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the parts of a value from JSON stand."""
    pairs = list(enumerate(value)) if isinstance(value, list) else []
    for key, part in value.items() if isinstance(value, dict) else pairs:
        yield (*at, key)
        yield from places(part, (*at, key))


@pytest.mark.parametrize("odd", [None, True, -1, 10**30, "", "x", [], {}, [[]], float("nan")])
def test_any_part_may_be_odd(odd: object) -> None:
    """It is read, or refused as what it is; nothing else is raised."""
    known = ChannelPrecondition.to_json(proved_near((rule(0, FIRES[0]),), "0.05")[0])
    known = json.loads(json.dumps(known))
    for *way, last in places(known):
        changed = json.loads(json.dumps(known))
        part = changed
        for key in way:
            part = part[key]
        part[last] = odd
        with contextlib.suppress(QueryError):
            ChannelPrecondition.from_json(changed)
