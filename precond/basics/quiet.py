"""Warnings of libraries are for programmers: the user of a command never sees them.

torch, numpy, scikit-learn and others warn about how they are called, or about numbers that the
project checks itself; what matters is said in the command's own words.  Whoever runs Python with
``-W`` or ``PYTHONWARNINGS`` sees them all the same.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No warning is shown, and none is logged, whatever filters a library sets."""
    if sys.warnoptions:
        yield
        return
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _unseen
            yield
    finally:
        logging.disable(before)


def _unseen(*_: object, **__: object) -> None:
    """In place of what would print the warning."""
