"""Counts and shares in words: ``1 rule``, ``2 rules``, ``12.3 %``."""

from __future__ import annotations


def how_many(count: int, word: str) -> str:
    """``word`` with its number; a plural where it is not one.  Regular nouns only."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def percent(share: float | None) -> str:
    """``12.3 %``; a dash where there is nothing to divide by; never rounded up to 100 %."""
    if share is None:
        return "–"
    if 0.9995 <= share < 1.0:
        return ">99.9 %"
    if 0.0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0.0 < share < 1.0 else f"{100 * share:.0f} %"
