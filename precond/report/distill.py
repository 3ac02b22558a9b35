"""A fast path → a page: whether it is worth it, what early answers cost, who answers, examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.apply.distillation.certified import CertifiedShare
from precond.apply.distillation.table import FAST, PLAIN, TradeOffTable
from precond.apply.distillation.thresholds import ExitCurve, ExitThresholds
from precond.basics.counting import percent
from precond.basics.evenly import evenly
from precond.data.dataset import Dataset
from precond.report.evidence import THUMBS, Gallery, Table, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.losses import loss_chart
from precond.report.plot.pictures import row_picture

SHEETS = ("report.css", "debug.css", "distill.css")
NOT_WORTH_IT = "Not worth it"
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """What the fast path answers on held-out ``rows`` of the data, (n,) each: its labels, the
    number of the exit, the plain network's labels, and the true ones."""

    data: Dataset
    rows: Rows
    labels: Rows
    exits: Rows
    plain: Rows
    truth: Rows
    names: tuple[str, ...]

    @property
    def early(self) -> NDArray[np.bool_]:
        return self.exits < len(self.names) - 1


@dataclass(frozen=True, kw_only=True)
class DistillPage:
    """Everything the page shows."""

    title: str
    headline: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    chart: Markup | None
    tables: tuple[Table, ...]
    galleries: tuple[Gallery, ...]


def headline(table: TradeOffTable | None) -> str:
    """Whether the fast path is worth it, in one sentence."""
    if table is None:
        return "Not measured: the work was stopped"
    gains, fast = table.gains(), table.fast
    if not gains:
        return "Not measured: too few held-out inputs for a batch"
    words = ", ".join(f"{gain.times:.2f} times at batch {gain.batch}" for gain in gains)
    if not table.worth_it:
        return f"{NOT_WORTH_IT}: as fast as the plain network {words}"
    change = "lost" if fast.loss >= 0 else "won"
    return (
        f"As fast as the plain network {words}; {abs(fast.loss):.2f} points of accuracy {change}, "
        f"{percent(fast.coverage)} answered early"
    )


def promised(choice: ExitThresholds | None, tuning: int) -> tuple[tuple[str, str], ...]:
    """What calibration rows vouch for, as facts."""
    if choice is None:
        return ()
    promise = choice.promise
    return (
        (
            "Promise",
            f"at most {promise.max_loss:g} points are lost, but for a chance of "
            f"{promise.delta:g} (tested: {choice.p_value:.2g})",
        ),
        (
            "Calibration",
            f"{choice.inputs} rows, {percent(choice.coverage)} answered early: {choice.lost} lost, "
            f"{choice.won} won; {tuning} other rows chose the exits",
        ),
    )


def distill_page(
    facts: Sequence[tuple[str, str]],
    table: TradeOffTable | None,
    curves: Sequence[ExitCurve],
    max_loss: float,
    *,
    held_out: HeldOut,
    certified: CertifiedShare | None,
    notes: Sequence[str],
) -> str:
    """The page of a fast path that was measured, or of one that was not because work stopped."""
    tables = [_by_class(held_out)]
    if table is not None:
        tables.insert(0, _measured(table))
    if certified is not None:
        tables.append(_certified(certified))
    page = DistillPage(
        title="Fast path",
        headline=headline(table),
        lead="Rules over an early layer's decisions answer where they are sure; the whole network "
        "answers otherwise.",
        facts=tuple(facts),
        notes=tuple(notes),
        figures=() if table is None else _figures(table, max_loss),
        chart=_chart(curves, max_loss),
        tables=tuple(tables),
        galleries=_galleries(held_out),
    )
    return render_page("distill.html", page, SHEETS)


def refused_page(
    facts: Sequence[tuple[str, str]], curves: Sequence[ExitCurve], max_loss: float, why: str
) -> str:
    """The page where no exit pays."""
    page = DistillPage(
        title="Fast path",
        headline=f"{NOT_WORTH_IT}: no exit saves more time than it costs",
        lead=why,
        facts=tuple(facts),
        notes=(),
        figures=(),
        chart=_chart(curves, max_loss),
        tables=(),
        galleries=(),
    )
    return render_page("distill.html", page, SHEETS)


def _figures(table: TradeOffTable, max_loss: float) -> tuple[Figure, ...]:
    gains = [
        Figure(
            f"speed at batch {gain.batch}",
            f"× {gain.times:.2f}",
            f"{PLAIN}'s time over the {FAST}'s, both by {gain.runtime.value}",
            tone="proved" if gain.times > 1 else "refuted",
        )
        for gain in table.gains()
    ]
    fast = table.fast
    return (
        *gains,
        Figure("answered early", percent(fast.coverage), "of held-out inputs"),
        Figure("points lost", f"{fast.loss:+.2f}", f"{max_loss:g} were allowed"),
    )


def _chart(curves: Sequence[ExitCurve], max_loss: float) -> Markup | None:
    drawn = [(curve.name, curve.points, curve.chosen) for curve in curves]
    return loss_chart(drawn, max_loss) if drawn else None


def _measured(table: TradeOffTable) -> Table:
    head, rows = table.cells()
    remark = f"on {table.inputs} held-out inputs, {table.threads} threads"
    return Table("Beside its rivals", remark, head, rows=tuple(map(tuple, rows)))


def _by_class(found: HeldOut) -> Table:
    """The share of each true class that each exit answers, and what changes."""
    names = found.data.classes
    rows = []
    for label in np.unique(found.truth).tolist():
        mine = found.truth == label
        shares = [percent(float((found.exits[mine] == k).mean())) for k in range(len(found.names))]
        changed = int((found.labels != found.plain)[mine].sum())
        title = str(label) if names is None or names[label] == str(label) else names[label]
        rows.append((title, str(int(mine.sum())), *shares, str(changed)))
    every = [percent(float((found.exits == k).mean())) for k in range(len(found.names))]
    changed = int((found.labels != found.plain).sum())
    rows.append(("all", str(len(found.rows)), *every, str(changed)))
    head = ("class", "inputs", *found.names, "predictions changed")
    return Table("Who answers", "held-out inputs", head, rows=tuple(rows))


def _certified(found: CertifiedShare) -> Table:
    def share(count: int) -> str:
        return percent(count / found.inputs) if found.inputs else "–"

    rows = (
        ("class of the fast path", share(found.path)),
        ("exit and class of the fast path", share(found.exit)),
        ("class of the plain network", share(found.plain)),
    )
    remark = f"of {found.inputs} inputs answered early, over all inputs within {found.within}"
    return Table("Proved to stay", remark, ("what stays", "share"), rows=rows)


def _galleries(found: HeldOut) -> tuple[Gallery, ...]:
    """Pictures of inputs answered early, late, and early but wrongly."""
    shape = found.data.image_shape
    if shape is None:
        return ()
    right = found.labels == found.truth
    kinds = (
        ("Answered early", found.early & right),
        ("Left to the whole network", ~found.early),
        ("Answered early and wrongly", found.early & ~right),
    )
    made = []
    for title, which in kinds:
        places = np.flatnonzero(which)
        shown = places[evenly(len(places), THUMBS)] if len(places) else places
        thumbs = tuple(
            Thumb(
                row_picture(found.data.inputs[found.rows[k]], shape, found.data.natural),
                f"{found.labels[k]}" + ("" if right[k] else f", not {found.truth[k]}"),
                f"input {found.rows[k]}: {found.labels[k]}, plain network {found.plain[k]}, "
                f"true {found.truth[k]}",
            )
            for k in shown.tolist()
        )
        made.append(Gallery(title, f"{len(places)} of {len(found.rows)} held-out inputs", thumbs))
    return tuple(made)
