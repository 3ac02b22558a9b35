"""Debugging wrong predictions: what each rests on, what causes they share, which labels to doubt.

For every wrong input: the layer rules of the predicted class that it satisfies, its own
precondition, the fewest neuron flips to a rule of its true class, attributions beside the usual
ones.  Over all of them: causes and suspected labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.causes import causes, suspects
from precond.apply.debugging.debugged import Debugged, Finding
from precond.apply.debugging.own_precondition import (
    NOT_TRIED,
    OwnPrecondition,
    Unproved,
    own_precondition,
)
from precond.apply.debugging.profiles import comparative_gradients, profiles
from precond.apply.debugging.rule_book import RuleBook
from precond.apply.debugging.settings import DebugSettings
from precond.apply.true_classes import check_classes
from precond.data.datasets import Dataset
from precond.errors import DataError
from precond.mine.layer_rules.learn import constant_layers, layer_preconditions
from precond.mine.layer_rules.probes import Probes, mixed_inputs
from precond.mine.layer_rules.settings import RuleSettings
from precond.network.evaluate import check_inputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.region.signature import Signatures

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
WIDEST = 2048  # neurons of a layer that rules are mined at
PROBES = 8000
SMALL = 512  # neurons up to which more trees are affordable
MINING = 0.5  # of the budget, for rules at most; half of it for running probes
EXPLAINING = 0.3  # of what is left then, for attributions at most, and as much for profiles
PROVING = 0.8  # of what is left then, for the inputs' own preconditions


def debug(
    network: Network,
    data: Dataset,
    settings: DebugSettings | None = None,
    *,
    signatures: Signatures | None = None,
    ledger: Ledger | None = None,
    step: Callable[[], None] = lambda: None,
) -> Debugged:
    """Examine every input of ``data`` whose class is not its label.

    Rules are mined on ``data.train``.  ``signatures``: a
    recording of all inputs, where there is one already.  ``step`` is called after each wrong
    input.  Without wrong inputs nothing is mined: ``wrong`` is empty.  DataError where labels
    are missing or do not fit, or the network has no decision layer.
    """
    network, settings = network.logits, settings or DebugSettings()
    started, deadline = time.monotonic(), Deadline.after(settings.budget)
    check_inputs(network, data.inputs)
    flat = data.flat
    held_out = data.held_out
    true = check_classes(data.labels, len(flat), network)
    if not network.decision_layers:
        raise DataError(f"network {network.origin}", expected="a ReLU layer or more", got="none")
    if signatures is None:
        signatures = record(network, flat, device=settings.device)
    late = np.isin(np.arange(len(flat)), held_out)
    order = np.concatenate([np.flatnonzero(late), np.flatnonzero(~late)])
    wrong = order[signatures.predicted[order] != true[order]]
    book = RuleBook(network=network, rules=(), inputs=flat, signatures=signatures, train=data.train)
    if not len(wrong):
        return Debugged(
            book=book,
            labels=true,
            held_out=held_out,
            wrong=wrong,
            findings=(),
            causes=(),
            suspects=(),
            settings=settings,
            seconds=time.monotonic() - started,
        )
    notes: list[str] = []
    examined = wrong[: settings.findings]
    if len(examined) < len(wrong):
        notes.append(
            f"{len(wrong)} inputs are predicted wrong; the first {len(examined)}, held-out ones "
            "before training ones, were examined one by one"
        )
    findings: list[Finding] = []
    interrupted = False
    try:
        book, said = mined(book, settings, deadline.earlier(MINING * deadline.left))
        notes += said
        left = replace(settings, budget=deadline.left)
        for finding in _findings(book, true, examined, data.natural, left, ledger, notes):
            findings.append(finding)
            step()
    except KeyboardInterrupt:
        interrupted = True
        notes.append(f"stopped early: {len(findings)} of {len(examined)} were examined")
    return Debugged(
        book=book,
        labels=true,
        held_out=held_out,
        wrong=wrong,
        findings=tuple(findings),
        causes=causes(book, wrong, true),
        suspects=suspects(book, wrong, true),
        settings=settings,
        seconds=time.monotonic() - started,
        interrupted=interrupted,
        notes=tuple(notes),
    )


def mined(
    book: RuleBook, settings: RuleSettings, deadline: Deadline | None = None
) -> tuple[RuleBook, list[str]]:
    """The book with rules that imply the predicted class, and notes on what was left out.

    ``deadline``: for all of it (default: ``settings.budget`` from now)."""
    deadline = deadline or Deadline.after(settings.budget)
    network, train, signatures = book.network, book.train, book.signatures
    notes: list[str] = []
    seen = signatures.rows(train)
    layers = [n for n in signatures.layers if network.width(n) <= WIDEST]
    skipped = [n for n in signatures.layers if n not in layers]
    if skipped:
        notes.append(f"layers wider than {WIDEST} neurons were not mined: {', '.join(skipped)}")
    layers = [n for n in layers if n not in constant_layers(seen, layers)]
    if not layers or len(np.unique(seen.predicted)) < 2:
        notes.append("no rules: the training inputs show one class, or no neuron that changes")
        return book, notes
    points = mixed_inputs(book.inputs[train], PROBES, settings.seed)
    limit = deadline.earlier(0.5 * deadline.left)
    probes = record(network, points, layers, device=settings.device, until=limit)
    if len(probes) < PROBES:
        notes.append(
            f"time ran out after {len(probes)} of {PROBES} mixed inputs were run through the "
            "network: rules are checked against these"
        )
    rules = layer_preconditions(
        seen,
        seen.predicted,
        layers,
        minimum_precision=settings.minimum_precision,
        minimum_support=settings.least_support(len(train)),
        probes=Probes(probes, probes.predicted),
        trees=40 if sum(network.width(n) for n in layers) <= SMALL else 12,
        seed=settings.seed,
        deadline=deadline,
    )
    if deadline.passed:
        notes.append("time ran out while rules were mined: there may be more")
    return RuleBook(
        network=network, rules=rules, inputs=book.inputs, signatures=signatures, train=train
    ), notes


def _findings(
    book: RuleBook,
    labels: Rows,
    rows: Rows,
    natural: tuple[float, float],
    settings: DebugSettings,
    ledger: Ledger | None,
    notes: list[str],
) -> Iterator[Finding]:
    """One of ``rows`` after another; ``notes`` on those without a precondition of their own."""
    network, flat, signatures = book.network, book.inputs, book.signatures
    predicted = signatures.predicted
    deadline, asked = Deadline.after(settings.budget), rows
    gradients = comparative_gradients(
        network,
        flat[rows],
        predicted[rows],
        labels[rows],
        natural[0],
        settings.device,
        deadline.earlier(EXPLAINING * deadline.left),
    )
    rows = rows[: len(gradients)]
    scores = network.classes.scores(np.asarray(signatures.outputs[rows]))
    right = book.train[predicted[book.train] == labels[book.train]]
    usual, seen = profiles(
        network,
        flat,
        labels,
        right,
        rows,
        seed=settings.seed,
        deadline=deadline.earlier(EXPLAINING * deadline.left),
    )
    if seen is not None:
        notes.append(f"time ran out: what is usual for a class rests on {seen} right inputs")
    satisfied = book.satisfied(rows) & (book.labels[None] == predicted[rows][:, None])
    low, high = natural
    within = Box(np.minimum(low, flat.min(axis=0)), np.maximum(high, flat.max(axis=0)))
    proving = deadline.earlier(PROVING * deadline.left)
    found, without, late = 0, 0, 0
    for position, row in enumerate(rows.tolist()):
        if position and deadline.passed:
            break
        said, label = int(predicted[row]), int(labels[row])
        own: OwnPrecondition | Unproved = NOT_TRIED
        if proving.passed:
            late += 1
        else:
            own = own_precondition(
                Claim(
                    network,
                    within,
                    DecisionPattern.of_row(signatures, row),
                    Property.of_class(said, network),
                ),
                np.asarray(flat[row], dtype=np.float64),
                settings.radius,
                replace(settings, budget=proving.left / (len(rows) - position)),
                ledger=ledger,
            )
        ways = book.counterfactuals(row, label)
        found, without = found + 1, without + isinstance(own, Unproved)
        yield Finding(
            row=row,
            label=label,
            predicted=said,
            outputs=scores[position],
            rules=tuple(np.flatnonzero(satisfied[position]).tolist()),
            nearest=ways[0] if ways else None,
            switching=next((way for way in ways if way.changes_answer), None),
            own=own,
            gradients=gradients[position],
            profile=usual[position],
        )
    if found < len(asked):
        notes.append(f"time ran out: {found} of {len(asked)} wrong inputs were examined")
    if without:
        notes.append(
            f"{without} of {found} inputs examined have no precondition of their own; their "
            f"pages say why; {late} were not tried, as the time for it was over"
        )
