"""``Adversarial`` and ``Retrained`` → a page, a CSV table and a retraining set."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.adversarial_examples.retrain import Accuracy, Retrained
from precond.apply.adversarial_examples.search import Adversarial, Example
from precond.basics.counting import percent
from precond.basics.evenly import evenly
from precond.region.radius import Radius
from precond.report.evidence import Subject, Table, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.pictures import row_picture
from precond.report.tables import csv_text

SHOWN = 12
SHEETS = ("report.css", "debug.css")


@dataclass(frozen=True)
class Group:
    """Examples of one kind; each is a strip of pictures."""

    title: str
    remark: str
    strips: tuple[tuple[Thumb, ...], ...]


@dataclass(frozen=True)
class AdversarialPage:
    """Everything the page shows."""

    title: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    accuracy: Table | None
    sizes: Table
    groups: tuple[Group, ...]


def adversarial_files(
    subject: Subject,
    inputs: NDArray[np.floating],
    radius: Radius,
    adversarial: Adversarial,
    retrained: Retrained | None,
) -> dict[str, str | bytes]:
    """File name → content: ``index.html``, ``adversarial.csv`` and ``adversarial.npz``.

    The archive holds ``inputs`` (M, n) float32, ``labels`` (the right classes), ``predicted``,
    ``anchors`` (row numbers) and ``used`` (1 where the example was trained on).
    """
    used = np.zeros(len(adversarial.examples), dtype=np.int64)
    if retrained is not None:
        used[retrained.trained_on] = 1
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        inputs=adversarial.inputs(),
        labels=adversarial.labels(),
        predicted=np.array([e.predicted for e in adversarial.examples], dtype=np.int64),
        anchors=np.array([e.anchor for e in adversarial.examples], dtype=np.int64),
        used=used,
    )
    head = ("number", "claim", "anchor", "label", "predicted", "linf", "l2", "changed")
    lines = [
        (
            number,
            e.claim,
            e.anchor,
            e.label,
            e.predicted,
            f"{e.linf:.6g}",
            f"{e.l2:.6g}",
            e.changed,
            f"{e.witness_linf:.6g}",
            e.fewest_changed or None,
            int(used[number]),
        )
        for number, e in enumerate(adversarial.examples)
    ]
    return {
        "index.html": render_page(
            "adversarial.html",
            _page(subject, inputs, radius, adversarial=adversarial, retrained=retrained),
            SHEETS,
        ),
        "adversarial.csv": csv_text((*head, "witness_linf", "fewest_changed", "used"), lines),
        "adversarial.npz": stream.getvalue(),
    }


def accuracy_table(retrained: Retrained) -> Table:
    """Before, after a control, and after the examples."""

    def line(name: str, pick: str) -> tuple[str, ...]:
        both = (retrained.before, retrained.control, retrained.after)
        return (name, *(_share(getattr(one, pick)) for one in both))

    rows = (
        line("training inputs", "train"),
        line("held-out inputs", "held_out"),
        line(f"{len(retrained.trained_on)} examples trained on", "trained_on"),
        line(f"{len(retrained.kept_out)} examples kept out (other anchors)", "kept_out"),
        line(
            f"{retrained.attacked} held-out inputs under attack, radius {retrained.radius.words}",
            "attacked",
        ),
    )
    head = ("accuracy on", "before", "after control", "after examples")
    remark = "the control is trained as long, without the examples"
    return Table("Before and after retraining", remark=remark, head=head, rows=rows)


def _share(value: float) -> str:
    return percent(None if np.isnan(value) else value)


def _page(
    subject: Subject,
    inputs: NDArray[np.floating],
    radius: Radius,
    adversarial: Adversarial,
    retrained: Retrained | None,
) -> AdversarialPage:
    examples = adversarial.examples
    figures = [
        Figure(
            "✗ refuted",
            value=str(adversarial.refuted),
            hint=f"of {adversarial.claims} claims, by a witness",
            tone="refuted",
        ),
        Figure(
            "Distinct examples",
            str(len(examples)),
            f"replayed in real arithmetic and in float32; {adversarial.alike} alike, "
            f"{adversarial.lost} lost",
        ),
        Figure(
            "Median change",
            f"{np.median([e.linf for e in examples]):.3g}",
            "largest change of one value (L∞)",
        ),
    ]
    few = [e.fewest_changed for e in examples if e.fewest is not None]
    if few:
        figures.append(
            Figure("Fewest changed", f"{np.median(few):.0f}", "values, in the median of examples")
        )
    if retrained is not None:
        figures.append(
            Figure(
                "Under attack",
                value=f"{percent(retrained.before.attacked)} → {percent(retrained.after.attacked)}",
                hint=f"held-out accuracy; control {percent(retrained.control.attacked)}",
                tone="proved",
            )
        )
    return AdversarialPage(
        f"Adversarial examples of {subject.model}",
        facts=(
            ("Model", subject.model),
            ("Data", subject.data),
            ("Claims", f"balls of radius {radius.words} around training inputs, and layer rules"),
            ("Time", f"{adversarial.seconds:.1f} s"),
        ),
        figures=tuple(figures),
        accuracy=None if retrained is None else accuracy_table(retrained),
        sizes=_sizes(examples),
        groups=_groups(subject, inputs, examples),
    )


def _sizes(examples: tuple[Example, ...]) -> Table:
    """Quartiles of the sizes, of examples from balls and from rules."""
    rows = []
    for kind in ("ball", "rule"):
        own = [e for e in examples if e.claim.startswith(kind)]
        if not own:
            continue
        for name, values in (
            ("L∞", [e.linf for e in own]),
            ("L∞ of the witness", [e.witness_linf for e in own]),
            ("L2", [e.l2 for e in own]),
            ("changed values", [float(e.changed) for e in own]),
            (
                "changed values at fewest",
                [float(e.fewest_changed) for e in own if e.fewest is not None],
            ),
        ):
            if values:
                cells = (f"{q:.3g}" for q in np.percentile(values, [0, 25, 50, 75, 100]))
                rows.append((f"{len(own)} from {kind}s: {name}", *cells))
    head = ("distance from the real input", "least", "quarter", "median", "3 quarters", "largest")
    return Table("How far from real inputs", remark="", head=head, rows=tuple(rows))


def _groups(
    subject: Subject, flat: NDArray[np.floating], examples: tuple[Example, ...]
) -> tuple[Group, ...]:
    shape = subject.image_shape
    if shape is None:
        return ()
    low, high = subject.natural

    def strip(e: Example) -> tuple[Thumb, ...]:
        def picture(values: NDArray[np.floating], caption: str, title: str) -> Thumb:
            assert shape is not None
            return Thumb(row_picture(values, shape, subject.natural), caption, title)

        difference = (e.input - flat[e.anchor]) / (2 * e.linf or 1.0) * (high - low)
        thumbs = [
            picture(flat[e.anchor], f"real: {e.label}", f"input {e.anchor}"),
            picture(e.witness, "witness", f"the witness of the {e.claim}, L∞ {e.witness_linf:.3g}"),
            picture(e.input, f"small: {e.predicted}", f"minimised, L∞ {e.linf:.3g}, L2 {e.l2:.3g}"),
            picture(
                difference + (low + high) / 2,
                f"±{e.linf:.2g}",
                "the change, grey where there is none",
            ),
        ]
        if e.fewest is not None:
            words = f"{e.fewest_changed} value{'s' if e.fewest_changed > 1 else ''}"
            thumbs.append(picture(e.fewest, words, f"{e.fewest_changed} values changed"))
        return tuple(thumbs)

    result = []
    for kind, title in (
        ("ball", "From balls around training inputs"),
        ("rule", "From layer rules"),
    ):
        own = [e for e in examples if e.claim.startswith(kind)]
        spread = [own[i] for i in evenly(len(own), SHOWN)]
        if spread:
            remark = (
                f"{len(spread)} of {len(own)}, from the smallest to the largest: the real input, "
                "the witness, minimised, the change, and the fewest values changed"
            )
            result.append(Group(title, remark, tuple(strip(e) for e in spread)))
    return tuple(result)


def accuracies(one: Accuracy) -> str:
    """One line for the terminal."""
    return (
        f"held out {_share(one.held_out)}, examples trained on {_share(one.trained_on)}, "
        f"kept out {_share(one.kept_out)}, under attack {_share(one.attacked)}"
    )
