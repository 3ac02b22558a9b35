"""Pages that need nothing else: a template with its style sheets inlined, written whole.

Every value is escaped, and what is not visible in it; besides, a page's own policy allows no
script, no style but the inlined one (by hash), no picture but data addresses and no request to
anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from precond.basics.whole_files import write_whole
from precond.errors import OutputError
from precond.printable import printable_page
from precond.report.charts import percent


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("precond", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment


@lru_cache(maxsize=16)
def _style(sheets: tuple[str, ...]) -> tuple[str, str]:
    """The sheets as one text, and the policy that allows it."""
    loader = _environment().loader
    assert loader is not None
    parts = [loader.get_source(_environment(), name)[0] for name in sheets]
    text = "\n".join(parts).replace("\r\n", "\n")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{digest}'"
    )
    return text, policy


def render_page(template: str, page: object, sheets: Sequence[str] = ("report.css",)) -> str:
    """``template`` (a file of this package) with ``page``, as HTML text."""
    style, policy = _style(tuple(sheets))
    whole = _environment().get_template(template)
    return printable_page(whole.render(page=page, style=Markup(style), policy=Markup(policy)))


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write ``files`` (name below ``folder`` → content), each whole or not at all.

    OutputError when a place cannot be written.
    """
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path.parent}",
                expected="a folder that can be written",
                got=error.strerror or type(error).__name__,
                fix="Choose another place",
            ) from error
        write_whole(path, content)
