"""A VNN-LIB query, decomposed: each of its claims at one layer, and what is written of it.

The query is about one network; its claims say, region by region, that no input shows a
violation.  It is ``PROVED`` when all are, ``REFUTED`` by an input that the query itself admits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.apply.decomposition.answer import Decomposition, Half
from precond.apply.decomposition.halves import decompose, proved_whole
from precond.apply.decomposition.lemmas import Lemmas
from precond.apply.decomposition.requirements import check_claim, check_layer
from precond.apply.decomposition.settings import DecompositionSettings
from precond.basics.plain import FOREIGN
from precond.errors import DataError, QueryError
from precond.network.graph import Network
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.restate.tail import tail_cuts
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.vnnlib.formula import VariableKind
from precond.vnnlib.query import Query

FORMAT = "precond-decomposition-1"
SEARCHING = 0.7  # of the budget, for choosing a layer at most
TRIALS = (0.01, 0.03, 0.06)  # of the budget, for trying each layer, round after round


@dataclass(frozen=True, eq=False, kw_only=True)
class DecompositionAnswer:
    """``parts[k]`` answers claim k; where one is refuted the later ones are not tried.

    ``layer_seconds``: what was spent on other layers before ``layer`` was found, 0 where it was
    given.  The parts' own seconds do not hold it.  ``interrupted``: Ctrl-C came before the later
    claims were answered.
    """

    layer: str
    parts: tuple[Decomposition, ...]
    status: Status
    layer_seconds: float = 0.0
    interrupted: bool = False

    @property
    def witness(self) -> NDArray[np.float64] | None:
        return next((part.witness for part in self.parts if part.witness is not None), None)


def check_query(query: Query) -> None:
    """QueryError unless it is about the outputs of one network over boxes of its inputs."""
    names = sorted({declared.network for declared in query.declarations})
    if len(names) > 1:
        raise QueryError(
            "decomposition of a query",
            expected="one about a single network",
            got=f"one about {', '.join(names)}",
            fix="'precond verify' decides such queries",
        )
    hidden = [
        d.name
        for d in query.declarations
        if d.kind not in (VariableKind.INPUT, VariableKind.OUTPUT)
    ]
    if hidden:
        raise QueryError(
            "decomposition of a query",
            expected="inputs and outputs only, as hidden values lie on both sides of a cut",
            got=f"hidden values {', '.join(hidden)}",
            fix="'precond verify' decides such queries",
        )
    for claim in query.claims:
        check_claim(claim)


def decompose_query(
    query: Query,
    layer: str | None = None,
    settings: DecompositionSettings | None = None,
    *,
    lemmas: Lemmas | None = None,
    proposed: Sequence[Box] = (),
    ledger: Ledger | None = None,
) -> DecompositionAnswer:
    """Every claim of ``query`` through ``layer``, or through the one ``first_layer`` finds.

    Arguments as of ``decompose``; the claims share the budget (and the direct proofs another).
    Once there is a layer, Ctrl-C ends the work, not the answer.
    """
    check_query(query)
    if layer is not None:
        check_layer(query.network, layer)
    lemmas = Lemmas() if lemmas is None else lemmas
    settings = settings or DecompositionSettings()
    half = replace(settings, direct=False)
    deadline = Deadline.after(settings.budget)
    layer_seconds, first = 0.0, None
    if layer is None:
        begun = time.monotonic()
        layer, first = first_layer(query, half, lemmas=lemmas, proposed=proposed, ledger=ledger)
        layer_seconds = time.monotonic() - begun - (0.0 if first is None else first.seconds)
    found: list[Decomposition] = []
    interrupted = False
    try:
        for number, claim in enumerate(query.claims):
            if settings.direct:  # its time does not count against the later claims
                spent = layer_seconds + sum(part.seconds for part in found)
                deadline = Deadline.after(max(0.1, settings.budget - spent))
            answer = first if number == 0 else None
            if answer is None:
                share = max(0.1, deadline.left / (len(query.claims) - number))
                answer = decompose(
                    claim,
                    layer,
                    replace(half, budget=share),
                    lemmas=lemmas,
                    proposed=proposed,
                    ledger=ledger,
                    admits=_Admits(query, number),
                )
            if settings.direct:
                answer = replace(answer, direct=proved_whole(claim, settings))
            found.append(answer)
            if answer.status is Status.REFUTED:
                break
    except KeyboardInterrupt:
        interrupted = True
    return DecompositionAnswer(
        layer=layer,
        parts=tuple(found),
        status=_status(query, found),
        layer_seconds=layer_seconds,
        interrupted=interrupted,
    )


def _status(query: Query, parts: Sequence[Decomposition]) -> Status:
    """Of the whole query, by its parts as far as there are any."""
    if any(part.status is Status.REFUTED for part in parts):
        return Status.REFUTED
    proved = sum(part.status is Status.PROVED for part in parts)
    return Status.PROVED if proved == len(query.claims) else Status.UNKNOWN


def first_layer(
    query: Query,
    settings: DecompositionSettings | None = None,
    *,
    lemmas: Lemmas | None = None,
    proposed: Sequence[Box] = (),
    ledger: Ledger | None = None,
) -> tuple[str, Decomposition | None]:
    """A cut that answers the query's first claim, with the answer.

    Every layer that can be cut is tried for a hundredth of the budget, from the last one back,
    then again for longer (``TRIALS``), until one answers.  Where none does, or ``SEARCHING`` of
    the budget is spent: the layer that left least of A, and None.
    """
    settings = settings or DecompositionSettings()
    possible = tail_cuts(query.network)
    if not possible:
        check_layer(query.network, "?")
    if len(possible) == 1 or not query.claims:
        return possible[-1], None
    limit = Deadline.after(SEARCHING * settings.budget)
    left: dict[str, tuple[float, float]] = {}
    for share in TRIALS:
        for layer in reversed(possible):
            if left and limit.passed:
                break
            trial = decompose(
                query.claims[0],
                layer,
                replace(settings, budget=share * settings.budget),
                lemmas=lemmas,
                proposed=proposed,
                ledger=ledger,
                admits=_Admits(query, 0),
            )
            if trial.status is not Status.UNKNOWN:
                return layer, trial
            left[layer] = trial.uncovered, trial.seconds
    return min((*of, layer) for layer, of in left.items())[-1], None


@dataclass(frozen=True, eq=False)
class _Admits:
    """Whether a point refutes the query, by its own decimals and element types."""

    query: Query
    claim: int

    def __call__(self, point: NDArray[np.float64]) -> NDArray[np.float64] | None:
        snapped = self.query.snap(self.claim, point)
        real = all(declared.element_type == "real" for declared in self.query.declarations)
        for x in (point, snapped) if real else (snapped,):
            if self.query.admits(x):
                return x
        return None


def to_json(answer: DecompositionAnswer, network: Network, source: str) -> dict[str, Any]:
    """Plain values: the patterns, both halves with their times, and the direct proof's."""
    return {
        "format": FORMAT,
        "query": source,
        "network": network.hash,
        "layer": answer.layer,
        "layer_search_seconds": answer.layer_seconds,
        "status": answer.status.value,
        "witness": None if answer.witness is None else [float(v) for v in answer.witness],
        "claims": [_claim_json(part) for part in answer.parts],
    }


def _claim_json(part: Decomposition) -> dict[str, Any]:
    return {
        "property": part.claim.property.to_json(),
        "box": _box_json(part.claim.box),
        "status": part.status.value,
        "reason": part.reason,
        "share_left": part.uncovered,
        "splits": part.splits,
        "seconds": {
            "all": part.seconds,
            "search": part.search_seconds,
            "A_implies_sigma": part.head.seconds,
            "sigma_implies_B": part.tail.seconds,
            "direct": None if part.direct is None else part.direct.seconds,
        },
        "A_implies_sigma": _half_json(part.head),
        "sigma_implies_B": _half_json(part.tail),
        "direct": None if part.direct is None else part.direct.to_json(),
        "patterns": [
            {
                "values": _box_json(lemma.values),
                "key": lemma.claim.key,
                "verdict": None if lemma.verdict is None else lemma.verdict.to_json(),
            }
            for lemma in part.lemmas
        ],
        "parts": [
            {
                "box": _box_json(step.box),
                "pattern": step.lemma,
                "literals": step.pattern.to_json(),
                "verdict": None if step.verdict is None else step.verdict.to_json(),
            }
            for step in part.steps
        ],
    }


def _half_json(half: Half) -> dict[str, Any]:
    return {
        "claims": half.claims,
        "proved": half.proved,
        "reused": half.reused,
        "engines": list(half.engines),
    }


def _box_json(box: Box) -> dict[str, list[float]]:
    return {"lower": box.lower.tolist(), "upper": box.upper.tolist()}


def proposed_boxes(data: Mapping[str, Any], layer: str | None, source: str) -> tuple[Box, ...]:
    """The boxes of activations in a file that ``to_json`` gave, as patterns to try.

    DataError for anything else, or for a file about another layer.
    """
    try:
        if data["format"] != FORMAT:
            raise ValueError(data["format"])
        own = str(data["layer"])
        boxes = tuple(
            Box(pattern["values"]["lower"], pattern["values"]["upper"])
            for claim in data["claims"]
            for pattern in claim["patterns"]
        )
    except FOREIGN as error:
        raise DataError(
            f"patterns in {source}", expected="a file of 'precond decompose --out'", got=repr(error)
        ) from error
    if layer != own:
        raise DataError(
            f"patterns in {source}",
            expected=f"patterns over {layer or 'the layer given by --layer'}",
            got=f"patterns over {own}",
            fix=f"Give --layer {own}",
        )
    return boxes
