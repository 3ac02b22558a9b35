"""A count in words: ``1 rule``, ``2 rules``."""

from __future__ import annotations


def how_many(count: int, word: str) -> str:
    """``word`` with its number; a plural where it is not one.  Regular nouns only."""
    return f"{count} {word}{'' if count == 1 else 's'}"
