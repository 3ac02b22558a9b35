"""What a notebook shows of a result: the page that its command writes.

Results know nothing of pages, which are drawn two rooms above most of them; the module that draws
them is named here once.  Small things (a box, a pattern, a verdict) are a line.
"""

from __future__ import annotations

import html
from importlib import import_module

from precond.printable import printable_page

PAGES = "precond.report.notebook.pages"
HEIGHT = 640  # pixels of the frame that a page is scrolled in
SHOWN = 12  # lines of a table


def page_of(result: object) -> str:
    """The page of a result, as one HTML document."""
    return str(import_module(PAGES).page_of(result))


class NotebookPage:
    """A result that a notebook shows as its page, in a frame of its own."""

    def _repr_html_(self) -> str:
        document = html.escape(page_of(self), quote=True)
        return (
            f'<iframe srcdoc="{document}" sandbox="allow-scripts" '
            f'style="width:100%;height:{HEIGHT}px;border:0"></iframe>'
        )


class NotebookLine:
    """Something that a notebook shows as its one line, in letters of equal width."""

    def _repr_html_(self) -> str:
        return printable_page(f"<code>{html.escape(repr(self))}</code>")
