"""Pages that need nothing else: a template with its style sheets inlined, written whole.

Pictures are data addresses, drawings inline SVG.  Every value is escaped, and what is not
visible in it; besides, a page's own policy allows no style and no script but the inlined ones
(by hash), no picture but data addresses and no request to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from precond.basics.counting import percent
from precond.basics.whole_files import write_whole
from precond.errors import OutputError
from precond.printable import printable_page


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
def _inlined(files: tuple[str, ...]) -> tuple[str, str]:
    """Style sheets or scripts as one text, and the source expression that allows it."""
    loader = _environment().loader
    assert loader is not None
    parts = [loader.get_source(_environment(), name)[0] for name in files]
    text = "\n".join(parts).replace("\r\n", "\n")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return text, f"'sha256-{digest}'"


def render_page(
    template: str,
    page: object,
    sheets: Sequence[str] = ("report.css",),
    scripts: Sequence[str] = (),
) -> str:
    """``template`` (a file of this package) with ``page``, as HTML text."""
    style, allowed = _inlined(tuple(sheets))
    policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    policy += f"style-src {allowed}"
    parts = {"style": Markup(style)}
    if scripts:
        script, allowed = _inlined(tuple(scripts))
        policy += f"; script-src {allowed}"
        parts["script"] = Markup(script)
    text = _environment().get_template(template).render(page=page, policy=Markup(policy), **parts)
    return printable_page(text)


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
