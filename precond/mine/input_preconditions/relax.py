"""Input preconditions by relaxation.

Take an input X and its full activation signature.  If that pattern implies the property in
the domain, free whole decision layers from the last one back while it still proves; at the
layer where that stops, free its neurons as far as it still proves, in a given order.  The
result is a closed pattern from which no constrained neuron of that layer can be dropped.

``Method`` says how: the textbook asks the prover once for each neuron (``relaxation``), the
core-guided way about many at a time (``core``; with few inputs ``few_inputs``).  Both end where
no single drop proves.  A signature of more than 4,096 literals, such as a convolutional
network's, is relaxed by whole layers, channels and patches first (``by_units``), and says in
units of which size it is minimal.

Source: Gopinath, Converse, Pasareanu, Taly 2019, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.basics.arguments import numbers, require_kind
from precond.errors import QueryError
from precond.logit_property import require_kept
from precond.mine.input_preconditions.by_units import UnitSearch, wide
from precond.mine.input_preconditions.core_guided import CoreSearch, Order, scores
from precond.mine.input_preconditions.few_inputs import few_inputs, relax
from precond.mine.input_preconditions.questions import Question, one_by_one, stopping_layer
from precond.mine.input_preconditions.result import InputPrecondition as InputPrecondition
from precond.mine.input_preconditions.units import Size
from precond.mine.violators import Flags, Violators, hunt
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import Stage, quick_stages
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.pattern import DecisionPattern, Neuron
from precond.region.recording import record

__all__ = ["InputPrecondition", "Method", "Order", "candidates", "input_precondition"]

Array = NDArray[np.float64]


class Method(Enum):
    """How the literals are dropped."""

    CORE = "core"
    """Many at a time, guided by counterexamples and by what proofs use."""
    SINGLE = "single"
    """One proof for each layer and each neuron."""
    UNITS = "units"
    """By layers, channels and patches before single neurons, guided by linear bounds."""


def input_precondition(  # noqa: PLR0913 - options of a public function, each by its keyword
    network: Network,
    point: ArrayLike,
    property: Property,
    domain: Box,
    *,
    order: Order = Order.INFLUENCE,
    method: Method = Method.CORE,
    budget: float = 60.0,
    each: float = 5.0,
    stages: Sequence[Stage] | None = None,
    ledger: Ledger | None = None,
    device: str = "cpu",
) -> InputPrecondition:
    """Relax the signature of ``point`` (n,) while it implies ``property`` in ``domain``.

    ``budget``: seconds in all; ``each``: seconds for one proof.
    """
    require_kind("network", network, Network, fix="load(model) gives one")
    require_kind("property", property, Property, fix="Property.argmax(0, 10)")
    require_kind("domain", domain, Box, fix="Box(lower, upper) makes one")
    x = numbers("point", point).reshape(1, -1)
    if x.shape[1] != domain.size or not np.isfinite(x).all() or not domain.contains(x)[0]:
        raise QueryError(
            "input precondition",
            expected=f"an input of {domain.size} finite values inside the domain",
            got="one outside it" if x.shape[1] == domain.size else f"{x.shape[1]} values",
        )
    require_kept(network, property)
    full = DecisionPattern.of_row(record(network, x), 0, network.decision_layers)
    claim = Claim(network, domain, full, property=property)
    literals = Literals.of(network, full)
    by_units = _by_units(claim, method)
    question = Question(
        whole=claim,
        x=x[0],
        literals=literals,
        violators=Violators(claim, literals, device),
        deadline=Deadline.after(budget),
        each=each,
        stages=stages or (quick_stages(device)[:1] if by_units else quick_stages(device)),
        ledger=ledger,
        device=device,
        contract=method is Method.CORE,
    )
    return _by_unit(question) if by_units else _relaxed(question, order, method)


def _by_units(claim: Claim, method: Method) -> bool:
    """Whether ``method`` drops units: core-guided relaxation does where there are too many
    literals to weigh each."""
    if not claim.problem.conjuncts:
        return False
    return method is Method.UNITS or (method is Method.CORE and wide(claim.network))


def _by_unit(question: Question) -> InputPrecondition:
    found = UnitSearch(question).run()
    kept = found.kept
    constrained = [] if kept is None else [
        layer for layer, part in question.literals.part.items() if kept[part].any()
    ]  # fmt: skip
    result = _result(
        question,
        kept,
        found.verdict,
        layer=constrained[-1] if constrained else "",
        minimal=found.size is Size.NEURON,
    )
    return replace(
        result,
        by_units=True,
        size=found.size,
        out_of_time=found.out_of_time,
        essential=found.essential,
    )


def _relaxed(question: Question, order: Order, method: Method) -> InputPrecondition:
    literals = question.literals
    batched = method is Method.CORE
    if batched and few_inputs(question):
        found = relax(question, lambda layer: scores(question, layer, order, verdict=None))
        if found is not None:
            return _result(
                question,
                found.kept,
                found.verdict,
                layer=found.layer,
                minimal=found.minimal,
                witnesses=found.witnesses,
            )
    if batched:
        nothing = literals.first(0)
        if excludes(question.bounds([nothing])[0]):
            verdict = question.ask(nothing)
            if verdict.is_proved:
                return _result(question, nothing, verdict, layer="", minimal=True)
        _first_violators(question)
    traced = order is Order.MULTIPLIER
    depth, verdict = stopping_layer(question, batched=batched, traced=traced)
    if depth < 0:
        return _result(question, kept=None, verdict=verdict, layer="", minimal=False)
    kept = literals.first(depth)
    if depth == 0:
        return _result(question, kept, verdict, layer="", minimal=True)
    layer = literals.layers[depth - 1]
    if batched:
        search = CoreSearch(question, depth, verdict, order=order)
        minimal = search.run()
        return _result(
            question,
            search.kept,
            search.verdict,
            layer=layer,
            minimal=minimal,
            witnesses=search.witnesses,
        )
    sequence = np.argsort(scores(question, layer, order, verdict=verdict), kind="stable")
    indices = (sequence + literals.part[layer].start).tolist()
    kept, verdict, minimal = one_by_one(question, kept, verdict, order=indices)
    return _result(question, kept, verdict, layer=layer, minimal=minimal)


def _result(
    question: Question,
    kept: Flags | None,
    verdict: Verdict,
    layer: str,
    minimal: bool,
    witnesses: Mapping[Neuron, Array] | None = None,
) -> InputPrecondition:
    pattern = None if kept is None else question.literals.pattern(kept)
    return InputPrecondition(
        pattern=pattern,
        verdict=verdict,
        layer=layer,
        proofs=question.proofs,
        minimal=minimal,
        batches=question.batches,
        witnesses=dict(witnesses or {}),
    )


def _first_violators(question: Question) -> None:
    """Search for violators of every number of first layers at once, from points all over the
    domain and near X."""
    literals, domain = question.literals, question.whole.box
    rng = np.random.default_rng(0)
    patterns, starts = [], []
    for depth in range(len(literals.layers)):
        far = domain.sample(8, rng)
        starts += [*far, *(question.x + 0.1 * (far[:4] - question.x))]
        patterns += [literals.first(depth)] * 12
    question.batches += 1
    hunt(
        question.violators,
        np.array(patterns),
        np.array(starts),
        centre=question.x,
        deadline=question.deadline,
    )
    question.violators.nearer(question.x)


def candidates(
    network: Network,
    inputs: NDArray[np.floating],
    label: int,
    *,
    labels: NDArray[np.int64] | None = None,
    score: Callable[[Array], Array] | None = None,
) -> NDArray[np.int64]:
    """Rows of ``inputs`` (N, …) predicted as ``label`` (and so labelled, where labels are
    given), the surest first: largest margin over the next output, or ``score`` (N, K) → (N,).
    """
    return surest(network, outputs(network, inputs), label, labels=labels, score=score)


def surest(
    network: Network,
    y: Array,
    label: int,
    *,
    labels: NDArray[np.int64] | None = None,
    score: Callable[[Array], Array] | None = None,
) -> NDArray[np.int64]:
    """``candidates`` of inputs whose outputs ``y`` (N, K) are known."""
    chosen = network.classes.predicted(y) == label
    if labels is not None:
        chosen &= labels == label
    rows = np.flatnonzero(chosen)
    if score is not None:
        surety = score(y[rows])
    else:
        each = network.classes.scores(y[rows])
        others = np.delete(each, label, axis=1)
        surety = each[:, label] - others.max(axis=1, initial=-np.inf)
    return np.asarray(rows[np.argsort(-surety, kind="stable")], dtype=np.int64)
