"""A fast path → a page: whether it is worth it, what early answers cost, and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from precond.apply.distillation.table import TradeOffTable
from precond.apply.distillation.thresholds import ExitCurve
from precond.basics.counting import percent
from precond.report.evidence import Table
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.losses import loss_chart

SHEETS = ("report.css", "debug.css", "distill.css")
NOT_WORTH_IT = "Not worth it"


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


def headline(table: TradeOffTable | None) -> str:
    """Whether the fast path is worth it, in one sentence."""
    if table is None:
        return "Not measured: the work was stopped"
    path = table.row("fast path")
    pairs = list(zip(table.batches, table.speedups(), strict=True))
    known = [(batch, value) for batch, value in pairs if value is not None]
    if not known:
        return "Not measured: too few held-out inputs for a batch"
    if not table.worth_it:
        where = " and ".join(str(batch) for batch, _ in known)
        return f"{NOT_WORTH_IT}: slower than the plain network at batch {where}"
    words = ", ".join(f"{value:.2f} times as fast at batch {batch}" for batch, value in known)
    change = "lost" if path.loss >= 0 else "won"
    return f"The fast path is {words}; {abs(path.loss):.2f} points of accuracy are {change}"


def distill_page(
    facts: Sequence[tuple[str, str]],
    table: TradeOffTable | None,
    curves: Sequence[ExitCurve],
    max_loss: float,
    exits: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
) -> str:
    """The page of a fast path that was made."""
    figures, tables = [], [_exits(exits)]
    if table is not None:
        path = table.row("fast path")
        figures = [
            Figure(
                f"speed at batch {batch}",
                "–" if value is None else f"× {value:.2f}",
                "the plain network's time over the fast path's",
                tone="" if value is None else "proved" if value > 1 else "refuted",
            )
            for batch, value in zip(table.batches, table.speedups(), strict=True)
        ]
        figures += [
            Figure("answered early", percent(path.coverage), "of held-out inputs"),
            Figure("points lost", f"{path.loss:+.2f}", f"{max_loss:g} were allowed"),
        ]
        tables.insert(0, _measured(table))
    page = DistillPage(
        title="Fast path",
        headline=headline(table),
        lead="Rules over an early layer's decisions answer where they are sure; the whole network "
        "answers otherwise.",
        facts=tuple(facts),
        notes=tuple(notes),
        figures=tuple(figures),
        chart=_chart(curves, max_loss),
        tables=tuple(tables),
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
    )
    return render_page("distill.html", page, SHEETS)


def _chart(curves: Sequence[ExitCurve], max_loss: float) -> Markup | None:
    drawn = [(curve.name, curve.points, curve.chosen) for curve in curves]
    return loss_chart(drawn, max_loss) if drawn else None


def _measured(table: TradeOffTable) -> Table:
    head, rows = table.cells()
    return Table(
        "Beside its rivals",
        f"on {table.inputs} held-out inputs",
        head,
        rows=tuple(map(tuple, rows)),
    )


def _exits(exits: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(
        (str(one["exit"]), str(one["inputs"]), percent(one["share"]), str(one["changed"]))
        for one in exits
    )
    head = ("answered by", "inputs", "share", "predictions changed")
    return Table("Who answered", "all inputs", head, rows=rows)
