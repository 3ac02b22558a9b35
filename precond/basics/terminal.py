"""Text for a terminal: no line wider than ``WIDTH`` columns, whatever names a file holds.

A line that is too long is continued below where its value began, as in

    inputs         0 width of the petal, 1 length of the petal, 2 width of the sepal,
                   3 length of the sepal

A name in a table is shortened in its middle; the files that a command writes have it whole.
"""

from __future__ import annotations

import re
import textwrap

WIDTH = 100
DEEPEST = 32  # columns that a continued line may begin at
LABEL = re.compile(r" *\S+(?: \S+)* {2,}")


def say(text: str) -> None:
    """Print lines, each of them continued where it is too long."""
    print("\n".join(wrapped(line) for line in text.split("\n")), flush=True)


def wrapped(line: str) -> str:
    """The line, or the lines that it takes; words are never broken."""
    if len(line) <= WIDTH:
        return line
    label = LABEL.match(line)
    indent = label.end() if label is not None and label.end() <= DEEPEST else 2
    indent = max(2, min(indent, WIDTH - max(map(len, line.split()))))
    return textwrap.fill(
        line,
        WIDTH,
        subsequent_indent=" " * indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitted(name: str, width: int) -> str:
    """``name`` with spaces after it up to ``width``, or without its middle: ``wor… of the``."""
    if len(name) <= width:
        return name.ljust(width)
    first = (width - 1) // 2
    return f"{name[:first]}…{name[len(name) - (width - 1 - first) :]}"
