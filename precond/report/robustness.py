"""``Robustness`` and property verdicts → one page and a CSV table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.apply.certification.answers import Ball, BallOutcome, Robustness
from precond.basics.counting import percent
from precond.data.dataset import class_name
from precond.proof.verdict import Status, Verdict
from precond.report.evidence import Gallery, Subject, Table, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.pictures import row_picture
from precond.report.plot.shares import ORDER, radius_chart
from precond.report.tables import csv_text

EXAMPLES = 10
SHEETS = ("report.css", "debug.css", "robustness.css")


@dataclass(frozen=True)
class RobustnessPage:
    """Everything the page shows."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    chart: Markup
    counts: Table
    engines: Table
    galleries: tuple[Gallery, ...]


@dataclass(frozen=True)
class PropertyAnswer:
    """A property of the outputs, in words, and its verdict; ``witness`` shows its witness."""

    name: str
    verdict: Verdict
    witness: str = ""


@dataclass(frozen=True)
class PropertiesPage:
    """Properties over one box."""

    title: str
    facts: tuple[tuple[str, str], ...]
    answers: Table


def robustness_files(
    subject: Subject,
    labels: NDArray[np.int64] | None,
    robustness: Robustness,
    *,
    cut: str | None = None,
    remarks: Sequence[str] = (),
) -> dict[str, str]:
    """File name → content: the page with ``remarks``, and one line per input and radius.

    ``cut``: what balls are cut to, in words (default: the data's natural range)."""
    low, high = subject.natural
    page = _page(subject, robustness, cut or f"[{low:g}, {high:g}]", remarks=remarks)
    lines = [
        (
            int(row),
            None if labels is None else int(labels[row]),
            int(robustness.classes[i]),
            f"{radius:g}",
            ball.outcome.value,
            ball.engine or None,
            int(ball.confirmed),
            None if ball.margin is None else f"{ball.margin:.6g}",
        )
        for k, radius in enumerate(robustness.radii)
        for i, (row, ball) in enumerate(
            zip(robustness.rows.tolist(), robustness.balls[k], strict=True)
        )
    ]
    head = ("row", "label", "predicted", "radius", "outcome", "engine", "confirmed", "margin_bound")
    return {
        "index.html": render_page("robustness.html", page, SHEETS),
        "robustness.csv": csv_text(head, lines),
    }


def properties_files(
    subject: Subject, region: str, answers: Sequence[PropertyAnswer]
) -> dict[str, str]:
    """File name → content for properties of the outputs over a region."""
    rows = tuple(
        (
            a.name,
            a.verdict.status.value,
            a.verdict.engine,
            f"{a.verdict.seconds:.2f} s",
            a.witness or a.verdict.reason or "–",
        )
        for a in answers
    )
    head = ("property", "answer", "engine", "time", "witness or reason")
    page = PropertiesPage(
        f"Properties of {subject.model}",
        (("Model", subject.model), ("Claimed over", region)),
        Table("Answers", remark=f"over {region}", head=head, rows=rows),
    )
    return {
        "index.html": render_page("properties.html", page, SHEETS),
        "properties.csv": csv_text(head, rows),
    }


def _page(
    subject: Subject, robustness: Robustness, cut: str, remarks: Sequence[str]
) -> RobustnessPage:
    total = len(robustness.rows)
    last = len(robustness.radii) - 1
    unknown = sum(robustness.count(k, BallOutcome.UNKNOWN) for k in range(last + 1))
    unconfirmed = sum(robustness.unconfirmed(k) for k in range(last + 1))
    shares = any(radius.of_range for radius in robustness.radii)
    notes = [
        ("A radius is a share of each column's range in the training inputs. " if shares else "")
        + f"Balls are L∞ and cut to {cut}. Certified holds for the network read as "
        "real arithmetic, rounding of the bounds included; an attacked ball's witness is given "
        "another class by rigorous bounds at that point and in float32."
    ]
    if unknown:
        notes.append(f"{unknown} balls are unknown.")
    if unconfirmed:
        notes.append(f"{unconfirmed} certified balls rest on one floating-point solver alone.")
    figures = tuple(
        Figure(
            f"{'✓ ' * bool(robustness.count(k, BallOutcome.CERTIFIED))}certified at {radius:g}",
            value=percent(robustness.count(k, BallOutcome.CERTIFIED) / total),
            hint=f"{robustness.count(k, BallOutcome.CERTIFIED)} of {total} inputs",
            tone="proved" * bool(robustness.count(k, BallOutcome.CERTIFIED)),
        )
        for k, radius in list(enumerate(robustness.radii))[:6]
    )
    counts = tuple(
        (
            f"{radius:g}",
            *(str(robustness.count(k, o)) for o in ORDER),
            percent(robustness.count(k, BallOutcome.CERTIFIED) / total),
        )
        for k, radius in enumerate(robustness.radii)
    )
    names = sorted({name for k in range(last + 1) for name in robustness.engines(k)})
    engines = tuple(
        (f"{radius:g}", *(str(robustness.engines(k)[name]) for name in names))
        for k, radius in enumerate(robustness.radii)
    )
    return RobustnessPage(
        f"Robustness of {subject.model}",
        lead=headline(robustness),
        facts=(
            ("Model", subject.model),
            ("Data", f"{subject.data}: {total} inputs"),
            ("Radii", ", ".join(f"{r:g}" for r in robustness.radii)),
            ("Time", f"{robustness.seconds:.1f} s"),
        ),
        notes=(*remarks, *notes),
        figures=figures,
        chart=radius_chart(robustness),
        counts=Table(
            "Inputs by radius",
            remark="",
            head=("radius", *(o.value for o in ORDER), "certified share"),
            rows=counts,
        ),
        engines=Table("What certified them", remark="", head=("radius", *names), rows=engines),
        galleries=_galleries(subject, robustness),
    )


def headline(robustness: Robustness) -> str:
    """The answer at the smallest radius, in a sentence."""
    total, radius = len(robustness.rows), robustness.radii[0]
    certified = robustness.count(0, BallOutcome.CERTIFIED)
    most = f"{radius} of its range" if radius.of_range else str(radius)
    value = "column" if radius.of_range else "value"
    change = f"no change of each {value} by at most {most} changes the class"
    if not certified:
        return f"Nothing was certified: for none of {total} inputs it is proved that {change}."
    return f"For {certified} of {total} inputs it is proved that {change}."


def _galleries(subject: Subject, robustness: Robustness) -> tuple[Gallery, ...]:
    """Attacked inputs of each radius: the input and its witness side by side."""
    shape = subject.image_shape
    if shape is None:
        return ()
    result = []
    seen: set[int] = set()
    for k, radius in enumerate(robustness.radii):
        thumbs: list[Thumb] = []
        fresh = [
            (i, ball)
            for i, ball in enumerate(robustness.balls[k])
            if ball.outcome is BallOutcome.ATTACKED and i not in seen
        ]
        for i, ball in fresh[:EXAMPLES]:
            thumbs += _pair(subject, shape, robustness, i=i, ball=ball)
        seen |= {i for i, _ in fresh}
        if thumbs:
            remark = f"{min(len(fresh), EXAMPLES)} of {len(fresh)}: the input, then its witness"
            result.append(Gallery(f"First attacked at radius {radius:g}", remark, tuple(thumbs)))
    return tuple(result)


def _pair(
    subject: Subject,
    shape: tuple[int, ...],
    robustness: Robustness,
    i: int,
    ball: Ball,
) -> list[Thumb]:
    assert ball.witness is not None
    row = int(robustness.rows[i])
    own = row_picture(robustness.inputs[i], shape, subject.natural)
    other = row_picture(ball.witness, shape, subject.natural)
    gap = float(np.abs(ball.witness - robustness.inputs[i]).max())
    return [
        Thumb(
            own,
            f"#{row}: {class_name(int(robustness.classes[i]), subject.classes)}",
            f"input {row}",
        ),
        Thumb(other, "witness", f"its witness, at most {gap:.4g} away in every value"),
    ]


def counts_text(robustness: Robustness) -> list[str]:
    """One line per radius, for the terminal."""
    lines = []
    for k, radius in enumerate(robustness.radii):
        words = [f"{robustness.count(k, o)} {o.value}" for o in ORDER]
        lines.append(f"radius {radius!s:<8} {', '.join(words)}")
    return lines


def settled(answers: Sequence[PropertyAnswer]) -> bool:
    """Whether every property was proved or refuted."""
    return all(a.verdict.status in (Status.PROVED, Status.REFUTED) for a in answers)
