"""Selective distillation: learn, choose and put together the exits of a fast path.

Two kinds of exit, kept apart: proved rules, which never change a prediction, and votes,
weighted rules learned from data, whose thresholds are chosen on validation inputs so that no
more than the allowed share of right answers is lost.

Source: Gopinath, Converse, Pasareanu, Taly 2019, section 5.3 (distillation through layer
properties); Teerapittayanon, McDanel, Kung 2016 (early exits).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.apply.distillation.automatic_places import automatic_readings
from precond.apply.distillation.path import Exit, FastPath, checkpoints
from precond.apply.distillation.proved_rules import ProvedRules
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.settings import MAX_LOSS
from precond.apply.distillation.thresholds import (
    NEVER,
    Answers,
    ExitCurve,
    ExitThresholds,
    choose,
    exit_curve,
)
from precond.apply.distillation.training import BATCH, Sample, learned_exit
from precond.apply.distillation.votes import Training, VoteExit
from precond.apply.true_classes import check_classes
from precond.errors import DataError, QueryError
from precond.network.evaluate import check_inputs
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment

MOST_EXITS = 3


@dataclass(frozen=True, eq=False)
class Distilled:
    """A fast path and how it came about.

    ``choice`` is what the thresholds do on the validation inputs (None: proved rules only);
    ``readings`` the readings that votes were learned at, with their accuracy alone, and ``curves``
    what each of them would answer and lose.
    """

    path: FastPath
    proved: ProvedRules | None
    choice: ExitThresholds | None
    readings: tuple[tuple[Reading, float], ...] = ()
    curves: tuple[ExitCurve, ...] = ()


class NotWorthIt(DataError):
    """No exit saves more time than it costs: ``why``, in a sentence; ``curves`` say what each of
    them would answer."""

    why: str = ""
    curves: tuple[ExitCurve, ...] = ()


def sample_of(
    network: Network, inputs: NDArray[np.floating], labels: NDArray[np.int64] | None
) -> Sample:
    """Inputs with the network's float32 scores; without ``labels`` its own classes are taken
    for right."""
    array = check_inputs(network, inputs)
    x = torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))
    whole = NetworkSegment(network, INPUT, [network.output])
    with torch.inference_mode():
        logits = torch.cat([whole(part)[0].flatten(1) for part in _parts(x)])
    scores = network.classes.scores(logits).clone()  # an ordinary tensor again, for training
    given = scores.argmax(1)
    if labels is not None:
        given = torch.as_tensor(check_classes(labels, len(array), network))
    return Sample(x, given, scores)


def prove_only(network: Network, proved: ProvedRules) -> Distilled:
    """The fast path of proved rules alone."""
    if not proved.entries:
        reasons = ", ".join(f"{count} {why}" for why, count in proved.left_out.items())
        raise QueryError(
            "proved rules for a fast path",
            expected="a proved precondition that a class wins",
            got=reasons or "an empty rule set",
            fix="Run 'precond analyze' with a longer --budget or a smaller --domain",
        )
    return Distilled(
        FastPath(network, checkpoints(network, proved), proved), proved=proved, choice=None
    )


def distill(
    network: Network,
    fit: Sample,
    validation: Sample,
    readings: Sequence[Reading] | None = None,
    *,
    max_loss: float = MAX_LOSS,
    proved: ProvedRules | None = None,
    training: Training | None = None,
) -> Distilled:
    """A fast path with votes learned on ``fit`` and thresholds chosen on ``validation``.

    ``readings``: at most three places for votes (default: ``automatic_readings``), of which
    those that save time are kept.  ``max_loss``: percentage points of accuracy that may be
    lost against the network.  ``proved`` rules get exits of their own.

    Errors: DataError where no exit may answer anything within ``max_loss``; QueryError for
    a layer that is no cut of the network.
    """
    how = Training() if training is None else training
    places = automatic_readings(network) if readings is None else list(readings)
    if not 1 <= len(places) <= MOST_EXITS:
        raise QueryError("layers for votes", expected="1 to 3", got=str(len(places)))
    exits, tried = [], []
    for reading in places:
        exit = learned_exit(network, reading, sample=fit, training=how)
        exits.append(exit)
        before = NetworkSegment(network, INPUT, [exit.cut])
        label, _ = judged(exit, before, validation)
        tried.append((reading, float((label == validation.labels).float().mean())))
    known = proved if proved is not None and proved.entries else None
    right = (validation.predicted == validation.labels).numpy()
    answered = _proved_places(network, proved=known, sample=validation, exits=exits)
    path = FastPath(network, exits)  # puts the exits in order
    ordered = [exit for exit in path.exits if isinstance(exit, VoteExit)]
    found = [
        _answers(network, exit, sample=validation, answered=answered[exits.index(exit)])
        for exit in ordered
    ]
    stages, prices = costs(path, validation.inputs[:BATCH])
    choice = choose(found, right=right, stages=stages, prices=prices, max_loss=max_loss)
    curves = tuple(
        exit_curve(str(exit.name), one, right, threshold=threshold)
        for exit, one, threshold in zip(ordered, found, choice.thresholds, strict=True)
    )
    kept: list[VoteExit] = []
    for exit, threshold in zip(ordered, choice.thresholds, strict=True):
        if threshold != NEVER:
            exit.threshold = torch.tensor(threshold, dtype=torch.float32)
            kept.append(exit)
    if not kept:
        free = [0.0] * len(prices)
        anyway = choose(
            found, right=right, stages=[*free, 1.0], prices=free, max_loss=max_loss
        ).coverage
        raise _refusal(
            network,
            places,
            curves,
            inputs=len(validation),
            max_loss=max_loss,
            coverage=anyway,
        )
    whole: list[Exit] = [*kept, *(checkpoints(network, known) if known is not None else [])]
    return Distilled(
        FastPath(network, whole, known),
        proved=known,
        choice=choice,
        readings=tuple(tried),
        curves=curves,
    )


def _refusal(
    network: Network,
    places: Sequence[Reading],
    curves: tuple[ExitCurve, ...],
    inputs: int,
    max_loss: float,
    coverage: float,
) -> DataError:
    """Why there is no fast path: no early answers, or none that pay."""
    where = ", ".join(map(str, places))
    if coverage:
        first = {one.layer for one in places} == {network.decision_layers[0]}
        advice = "A small network may be fast enough as it is"
        if not first:
            advice = "Choose earlier layers; a small network may be fast enough as it is"
        slow = NotWorthIt(
            f"a fast path of {network.origin} with exits at {where}",
            expected="an exit that costs less time than it saves",
            got=f"none, though {100 * coverage:.0f} % of {inputs} validation inputs could take one",
            fix=advice,
        )
        slow.curves = curves
        slow.why = (
            f"{100 * coverage:.0f} % of {inputs} validation inputs could be answered at {where}, "
            f"but that costs more time than it saves. {advice}"
        )
        return slow
    return DataError(
        f"a loss of at most {max_loss:g} percentage points",
        expected=f"early answers at {where} within it",
        got=f"none on {inputs} validation inputs",
        fix="Allow a larger --max-loss, choose other layers, or give more data",
    )


def judged(exit: VoteExit, before: NetworkSegment, sample: Sample) -> tuple[Tensor, Tensor]:
    """The exit's labels and confidences for every input of a sample."""
    with torch.inference_mode():
        found = [exit.judge(before(part)[0]) for part in _parts(sample.inputs)]
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def _answers(
    network: Network, exit: VoteExit, sample: Sample, answered: NDArray[np.bool_]
) -> Answers:
    label, confidence = judged(exit, NetworkSegment(network, INPUT, [exit.cut]), sample)
    return Answers(confidence.numpy(), (label == sample.labels).numpy(), answered)


def _proved_places(
    network: Network, proved: ProvedRules | None, sample: Sample, exits: Sequence[VoteExit]
) -> list[NDArray[np.bool_]]:
    """For each vote exit the inputs that proved rules answer before it."""
    if proved is None:
        return [np.zeros(len(sample), dtype=np.bool_) for _ in exits]
    only = FastPath(network, checkpoints(network, proved), proved)
    given = only.predict(sample.inputs.numpy()).exits
    place = {INPUT: -1, **{node.name: k for k, node in enumerate(network.nodes)}}
    before = cast(Sequence[Exit], only.exits)
    at = np.array([*(place[exit.cut] for exit in before), len(network.nodes)])
    return [at[given] < place[exit.cut] for exit in exits]


def costs(path: FastPath, inputs: Tensor) -> tuple[list[float], list[float]]:
    """What each stage and the rest, and each exit, cost one input, as parts of what the plain
    network costs; the mean of batch 1 and of all ``inputs`` at once."""
    network = path.network
    whole = NetworkSegment(network, INPUT, [network.output])
    stages, prices = np.zeros(len(path.stages) + 1), np.zeros(len(path.stages))
    with torch.inference_mode():
        for part in (inputs[:1], inputs):
            value, unit = part, 2 * _seconds(whole, part)
            for k, (stage, exit) in enumerate(zip(path.stages, path.exits, strict=True)):
                stages[k] += _seconds(stage, value) / unit
                (value,) = stage(value)
                prices[k] += _seconds(exit, value) / unit
            stages[-1] += _seconds(path.rest, value) / unit
    return stages.tolist(), prices.tolist()


def _seconds(run: Callable[[Tensor], object], value: Tensor) -> float:
    """The least of a few calls, which other programs delay least."""
    run(value)
    times = []
    for _ in range(15):
        begun = time.perf_counter()
        run(value)
        times.append(time.perf_counter() - begun)
    return min(times)


def augmented(sample: Sample, network: Network, shift: int) -> Sample:
    """A sample of pictures with copies moved by ``shift`` pixels in eight directions."""
    if not shift:
        return sample
    height, width = sample.inputs.shape[2:]
    padded = torch.nn.functional.pad(sample.inputs, (shift,) * 4)
    ways = [(a, b) for a in (0, shift, 2 * shift) for b in (0, shift, 2 * shift)]
    inputs = torch.cat([padded[:, :, a : a + height, b : b + width] for a, b in ways])
    every = sample_of(network, inputs=inputs.numpy(), labels=None)
    return replace(every, labels=sample.labels.repeat(len(ways)))


def _parts(inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.split(inputs, 512)
