"""``write_report``: an analysis as one HTML file that needs nothing else.

Style sheet and script are inlined, pictures are data addresses, drawings inline SVG.  Every
value is escaped; besides, the page's own policy allows no script or style but the two
inlined ones (by hash) and no request to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from precond.basics.whole_files import write_whole
from precond.printable import printable_page
from precond.report.analysis.view import make_page
from precond.report.charts import percent
from precond.study.analysis import Analysis


def write_report(analysis: Analysis, path: Path) -> None:
    """Write the report of ``analysis`` to ``path`` (.html), whole or not at all.

    OutputError when the place cannot be written.
    """
    write_whole(path, render(analysis), name=f"report {path}")


def render(analysis: Analysis) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("precond", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    style, script = (_source(environment, name) for name in ("report.css", "report.js"))
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    page = environment.get_template("report.html").render(
        page=make_page(analysis),
        style=Markup(style),
        script=Markup(script),
        policy=Markup(policy),
    )
    return printable_page(page)


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0].replace("\r\n", "\n")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
