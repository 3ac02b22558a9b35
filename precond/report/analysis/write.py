"""``write_report``: an analysis as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from precond.basics.whole_files import write_whole
from precond.report.analysis.view import make_page
from precond.report.pages import render_page
from precond.study.analysis import Analysis


def write_report(analysis: Analysis, path: Path) -> None:
    """Write the report of ``analysis`` to ``path`` (.html), whole or not at all.

    OutputError when the place cannot be written.
    """
    write_whole(path, render(analysis), name=f"report {path}")


def render(analysis: Analysis) -> str:
    """The report as HTML text."""
    return render_page("report.html", make_page(analysis), scripts=("report.js",))
