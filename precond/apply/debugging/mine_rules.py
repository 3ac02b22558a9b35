"""Layer rules that imply the predicted class, mined on the training inputs of a rule book."""

from __future__ import annotations

import numpy as np

from precond.apply.debugging.rule_book import RuleBook
from precond.mine.layer_rules.learn import constant_layers, layer_preconditions
from precond.mine.layer_rules.probes import Probes, mixed_inputs
from precond.mine.layer_rules.settings import RuleSettings
from precond.proof.deadline import Deadline
from precond.region.recording import record

WIDEST = 2048  # neurons of a layer that rules are mined at
PROBES = 8000
SMALL = 512  # neurons up to which more trees are affordable


def mine_rules(
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
