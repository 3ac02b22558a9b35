"""Selective distillation: learn, choose and put together the exits of a fast path.

Two kinds of exit, kept apart: proved rules, which never change a prediction, and votes,
weighted rules learned from data, whose thresholds calibration rows vouch for: no more accuracy is
lost than was promised, but for a small chance.

Source: Gopinath, Converse, Pasareanu, Taly 2019, section 5.3 (distillation through layer
properties); Teerapittayanon, McDanel, Kung 2016 (early exits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from precond.apply.distillation.automatic_places import automatic_readings
from precond.apply.distillation.linear_exit import LinearExit
from precond.apply.distillation.path import Exit, FastPath, checkpoints
from precond.apply.distillation.prices import measured_prices
from precond.apply.distillation.proved_rules import ProvedRules
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.risk import fewest_rows, least_loss
from precond.apply.distillation.samples import Sample, augmented, tuning_rows
from precond.apply.distillation.settings import Promise, Training
from precond.apply.distillation.thresholds import (
    MOST_EXITS,
    NEVER,
    Answers,
    ExitCurve,
    ExitRows,
    ExitThresholds,
    choose,
    choose_anyway,
    exit_curve,
)
from precond.apply.distillation.training import BATCH, learned_exit
from precond.apply.distillation.votes import VoteExit
from precond.errors import DataError, QueryError
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment


@dataclass(frozen=True, kw_only=True, eq=False)
class Distilled:
    """A fast path and how it came about.

    ``choice`` is what the thresholds do on the calibration rows (None: proved rules only);
    ``readings`` the readings that votes were learned at, with their accuracy alone, and ``curves``
    what each of them would answer and lose; ``tuning`` rows ordered the thresholds.
    """

    path: FastPath
    proved: ProvedRules | None
    choice: ExitThresholds | None
    readings: tuple[tuple[Reading, float], ...] = ()
    curves: tuple[ExitCurve, ...] = ()
    tuning: int = 0


class NotWorthIt(DataError):
    """No exit saves more time than it costs: ``why``, in a sentence; ``anyway``: the fast path that
    there would be."""

    why: str = ""
    anyway: Distilled


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
        path=FastPath(network, checkpoints(network, proved), proved), proved=proved, choice=None
    )


def distill(
    network: Network,
    fit: Sample,
    calibration: Sample,
    readings: Sequence[Reading] | None = None,
    *,
    promise: Promise | None = None,
    proved: ProvedRules | None = None,
    training: Training | None = None,
) -> Distilled:
    """A fast path with votes learned on ``fit`` and thresholds that ``calibration`` vouches for.

    ``readings``: at most three places for votes (default: ``automatic_readings``), of which
    those that save time are kept.  ``promise``: what may be lost against the network, and how sure
    that is.  ``proved`` rules get exits of their own.

    Errors: DataError where calibration rows are too few, or no exit may answer anything; QueryError
    for a layer that is no cut of the network; NotWorthIt.
    """
    how = Training() if training is None else training
    aim = Promise() if promise is None else promise
    places = automatic_readings(network) if readings is None else list(readings)
    if not 1 <= len(places) <= MOST_EXITS:
        raise QueryError("layers for votes", expected="1 to 3", got=str(len(places)))
    check_rows(len(calibration), aim)
    learn, tuning = tuning_rows(fit, how.seed)
    tuning = augmented(tuning, network, how.shift)
    known = proved if proved is not None and proved.entries else None
    exits = [learned_exit(network, place, sample=learn, training=how) for place in places]
    path = FastPath(network, exits)  # puts the exits in order
    ordered = [exit for exit in path.exits if isinstance(exit, VoteExit)]
    tuned = answers_of(network, ordered, tuning, proved=known)
    found = answers_of(network, ordered, calibration, proved=known)
    prices = measured_prices(network, ordered, fit.inputs[:BATCH])
    choice = choose(tuned, found, prices, promise=aim)
    made = partial(_made, network, ordered, found=found, proved=known, tuning=len(tuning))
    if choice.early:
        return made(choice)
    anyway = choose_anyway(tuned, found, prices, promise=aim)
    if not anyway.early:
        raise DataError(
            f"a loss of at most {aim.max_loss:g} percentage points",
            expected=f"early answers at {_where(places)} that {len(found)} rows vouch for",
            got="none",
            fix="Allow a larger --max-loss, choose other layers, or give more data",
        )
    raise _not_worth_it(network, places, made(anyway))


def _made(
    network: Network,
    exits: Sequence[VoteExit],
    choice: ExitThresholds,
    *,
    found: ExitRows,
    proved: ProvedRules | None,
    tuning: int,
) -> Distilled:
    """The exits that ``choice`` uses, put together."""
    kept: list[Exit] = []
    for exit, threshold in zip(exits, choice.thresholds, strict=True):
        exit.threshold = torch.tensor(threshold, dtype=torch.float32)
        if threshold != NEVER:
            kept.append(exit)
    if proved is not None:
        kept += checkpoints(network, proved)
    each = list(zip(exits, found.exits, choice.thresholds, strict=True))
    return Distilled(
        path=FastPath(network, kept, proved),
        proved=proved,
        choice=choice,
        readings=tuple((exit.reading, float(one.right.mean())) for exit, one, _ in each),
        curves=tuple(
            exit_curve(exit.name, one, found.right, threshold=threshold)
            for exit, one, threshold in each
        ),
        tuning=tuning,
    )


def check_rows(count: int, promise: Promise) -> None:
    """DataError where so few calibration rows can promise nothing, even if none is lost."""
    fewest = fewest_rows(promise)
    words = f"a loss of at most {promise.max_loss:g} points but for a chance of {promise.delta:g}"
    if fewest is None:
        raise DataError(
            words,
            expected="a loss above 0, which calibration rows can vouch for",
            got="0",
            fix="Give --max-loss above 0, or proved rules and --proved-only",
        )
    if count < fewest:
        possible = least_loss(count, promise.delta)
        raise DataError(
            words,
            expected=f"{fewest} calibration rows or more",
            got=str(count),
            fix=f"Give more data, or --max-loss {np.ceil(100 * possible) / 100:.2f} or more",
        )


def _not_worth_it(network: Network, places: Sequence[Reading], anyway: Distilled) -> NotWorthIt:
    """No exit pays for its time; ``anyway``: the fast path if time did not count."""
    assert anyway.choice is not None
    share, inputs = 100 * anyway.choice.coverage, anyway.choice.inputs
    first = {one.layer for one in places} == {network.decision_layers[0]}
    advice = "A small network may be fast enough as it is"
    if not first:
        advice = "Choose earlier layers; a small network may be fast enough as it is"
    slow = NotWorthIt(
        f"a fast path of {network.origin} with exits at {_where(places)}",
        expected="an exit that costs less time than it saves",
        got=f"none, though {share:.0f} % of {inputs} calibration rows could take one",
        fix=advice,
    )
    slow.anyway = anyway
    slow.why = (
        f"{share:.0f} % of {inputs} calibration rows could be answered at {_where(places)}, "
        f"but that costs more time than it saves. {advice}"
    )
    return slow


def _where(places: Sequence[Reading]) -> str:
    return ", ".join(map(str, places))


def answers_of(
    network: Network,
    exits: Sequence[VoteExit | LinearExit],
    sample: Sample,
    proved: ProvedRules | None = None,
) -> ExitRows:
    """What every exit says of every input of a sample, and which the network has right."""
    answered = _proved_places(network, proved=proved, sample=sample, exits=exits)
    found = []
    for exit, before in zip(exits, answered, strict=True):
        segment = NetworkSegment(network, INPUT, [exit.cut])
        with torch.inference_mode():
            judged = [exit.judge(segment(part)[0]) for part in sample.parts()]
        label, confidence = (torch.cat([pair[k] for pair in judged]) for k in range(2))
        found.append(Answers(confidence.numpy(), (label == sample.labels).numpy(), before))
    return ExitRows(tuple(found), sample.right)


def _proved_places(
    network: Network,
    proved: ProvedRules | None,
    sample: Sample,
    exits: Sequence[VoteExit | LinearExit],
) -> list[NDArray[np.bool_]]:
    """For each exit the inputs that proved rules answer before it."""
    if proved is None:
        return [np.zeros(len(sample), dtype=np.bool_) for _ in exits]
    only = FastPath(network, checkpoints(network, proved), proved)
    given = only.predict(sample.inputs.numpy()).exits
    place = {INPUT: -1, **{node.name: k for k, node in enumerate(network.nodes)}}
    before = cast(Sequence[Exit], only.exits)
    at = np.array([*(place[exit.cut] for exit in before), len(network.nodes)])
    return [at[given] < place[exit.cut] for exit in exits]
