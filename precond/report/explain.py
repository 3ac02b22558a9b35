"""``Explained`` → a page: a sentence, bars by name or pictures, and a table of all parts."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from attribution.show.explain import Explained
from attribution.show.visualise import data_uri
from precond.report.evidence import Table, Thumb
from precond.report.pages import render_page
from precond.report.plot.signed import signed_bars

SHEETS = ("report.css", "debug.css", "explain.css")
BARS = 30  # drawn; the table has more
ROWS = 500  # of the table


@dataclass(frozen=True, kw_only=True)
class ExplainPage:
    """Everything the page shows."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    pictures: tuple[Thumb, ...]
    columns: int
    bars: Markup
    parts: Table


def explain_page(found: Explained) -> str:
    """The page as one HTML document."""
    shown = found.parts[:ROWS]
    remark = "largest first"
    if len(shown) < len(found.parts):
        remark += f"; the first {len(shown)} of {len(found.parts)}"
    rows = tuple((p.name, f"{p.value:.6g}", f"{p.attribution:+.6g}") for p in shown)
    drawn = [(p.name, p.attribution, f"value {p.value:.4g}") for p in found.parts[:BARS]]
    page = ExplainPage(
        title=found.headline,
        lead=found.lead,
        facts=found.facts,
        notes=found.attribution.notes,
        pictures=tuple(Thumb(data_uri(p.picture), p.caption, p.caption) for p in found.panels),
        columns=found.columns,
        bars=signed_bars(drawn, "Attributions, largest first: red for, blue against"),
        parts=Table("Attributions", remark, ("name", "value here", "attribution"), rows=rows),
    )
    return render_page("explain.html", page, SHEETS)
