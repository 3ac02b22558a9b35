"""Text that came from a file, made safe to print: the one home of that rule.

A name in a file may hold line breaks, escape sequences of a terminal, marks that turn the
direction of writing, or look like a sentence of ours.  ``printable`` shows every character that
is no visible one as its escape, ``\\x1b`` or ``\\n``, so that a text stays on its line and shows
all that it holds.  ``quoted`` does so without loss: a name that is no plain word stands in
quotation marks, so that two names never look alike and none looks like a part of the sentence
around it.  ``printable_lines`` and ``printable_page`` are for whole texts on their way out.
"""

from __future__ import annotations

import io
import re
from typing import Any, TextIO
from unicodedata import category

PLAIN = re.compile(r"[A-Za-z0-9_%/:-][A-Za-z0-9_./:%-]*")
LAYOUT = "\n\t"  # what our own lines are laid out with
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, formats, surrogates, separators of lines


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def printable(text: str) -> str:
    """``text`` on one line, with escapes for whatever is not visible."""
    return text if text.isprintable() else "".join(map(_shown, text))


def quoted(text: str) -> str:
    """A name as it stands in a sentence: itself if it is a plain word, else as Python quotes it."""
    return text if PLAIN.fullmatch(text) else repr(text)


def printable_lines(text: str) -> str:
    """``text`` with escapes for whatever is not visible, but for its line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(c if c in LAYOUT else _shown(c) for c in text)


def printable_page(text: str) -> str:
    """HTML with escapes for control characters and for marks that change how text is laid out."""
    if text.isprintable():
        return text
    return "".join(c if c in LAYOUT or category(c) not in UNSEEN else _shown(c) for c in text)


class PrintableStream(io.TextIOBase):
    """A text stream that passes ``printable_lines`` on to the one ``below``."""

    def __init__(self, below: TextIO) -> None:
        super().__init__()
        self.below = below

    def write(self, text: str) -> int:
        self.below.write(printable_lines(text))
        return len(text)

    def flush(self) -> None:
        self.below.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.below.isatty()

    def fileno(self) -> int:
        return self.below.fileno()

    def close(self) -> None:
        """The stream below is not ours to close."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)
