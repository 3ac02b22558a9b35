"""Debugging wrong predictions: what each rests on, what causes they share, which labels to doubt.

For every wrong input: the layer rules of the predicted class that it satisfies, its own
precondition, the fewest neuron flips to a rule of its true class, attributions beside the usual
ones.  Over all of them: causes and suspected labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.cases import Cases
from precond.apply.debugging.causes import Cause, Causes, Evidence, find_causes
from precond.apply.debugging.doubtful_labels import Suspect, suspects
from precond.apply.debugging.examine import Examiner, Finding
from precond.apply.debugging.mine_rules import mine_rules
from precond.apply.debugging.rule_book import RuleBook
from precond.apply.debugging.settings import DebugSettings
from precond.apply.debugging.sufficient_part import units_of
from precond.apply.true_classes import check_classes
from precond.basics.notebook import NotebookPage
from precond.data.dataset import Dataset, class_name
from precond.errors import DataError
from precond.network.evaluate import check_inputs
from precond.network.graph import Network
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.region.recording import record
from precond.region.signature import Signatures
from precond.region.unit_names import UnitNames
from precond.region.value_ranges import ValueRanges

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MINING = 0.5  # of the budget, for rules at most; half of it for running probes
CAUSES = 0.4  # of what is left then, for causes and what helps against them at most


@dataclass(frozen=True, eq=False, kw_only=True)
class Debugged(NotebookPage):
    """All that was found; ``wrong`` are row numbers, held-out ones first, and ``findings`` the
    first of them; fewer where Ctrl-C ended the work (``interrupted``)."""

    book: RuleBook
    labels: Rows
    held_out: Rows
    wrong: Rows
    findings: tuple[Finding, ...]
    explained: Causes
    suspects: tuple[Suspect, ...]
    settings: DebugSettings
    seconds: float
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    unit_names: UnitNames = field(default_factory=UnitNames)
    classes: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"Debugged({len(self.wrong)} wrong, {len(self.causes)} causes)"

    @property
    def predicted(self) -> Rows:
        return self.book.signatures.predicted

    def class_name(self, label: int) -> str:
        """What people call a class."""
        return class_name(label, self.classes)

    @property
    def causes(self) -> tuple[Cause, ...]:
        return self.explained.causes


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
    cases = Cases.of(true, signatures.predicted, held_out, seed=settings.seed)
    explained = Causes(cases=cases, causes=(), single=wrong)
    doubtful: tuple[Suspect, ...] = ()
    findings: list[Finding] = []
    notes: list[str] = []
    interrupted = False
    examined = wrong[: settings.findings]
    try:
        if len(wrong):
            book, notes = mine_rules(book, settings, deadline.earlier(MINING * deadline.left))
            doubtful = suspects(book, wrong, true)
            left = replace(settings, budget=deadline.left)
            examiner = Examiner(
                book,
                true,
                ranges=ValueRanges.of(data),
                settings=left,
                ledger=ledger,
                units=units_of(data),
            )
            gradients = examiner.gradients(examined)
            evidence = Evidence(
                book=book,
                labels=true,
                cases=cases,
                suspects=doubtful,
                examined=examined,
                gradients=gradients,
                image_shape=data.image_shape,
                features=data.features,
                classes=data.classes,
                seed=settings.seed,
                device=settings.device,
            )
            explained = find_causes(evidence, deadline.earlier(CAUSES * deadline.left))
            notes += explained.notes
            for finding in examiner.findings(examined, gradients, notes):
                findings.append(finding)
                step()
    except KeyboardInterrupt:
        interrupted = True
        notes.append(f"stopped early: {len(findings)} of {len(examined)} were examined")
    if len(examined) < len(wrong):
        notes.append(
            f"{len(wrong)} inputs are predicted wrong; the first {len(examined)}, held-out ones "
            "before training ones, were examined one by one"
        )
    return Debugged(
        book=book,
        labels=true,
        held_out=held_out,
        wrong=wrong,
        findings=tuple(findings),
        explained=explained,
        suspects=doubtful,
        settings=settings,
        seconds=time.monotonic() - started,
        interrupted=interrupted,
        notes=tuple(notes),
        classes=data.classes,
    )
