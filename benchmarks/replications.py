"""What others published, the benchmark that measures it here, and why the two differ."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.registry import Figure, Size

Measured = tuple[str, Size, Figure]


@dataclass(frozen=True, kw_only=True)
class Replication:
    """``measured``: benchmark, size and figure; None where the figure is not had, and ``why``
    then says the reason and the nearest that is."""

    study: str
    what: str
    published: str
    measured: Measured | None
    why: str


REPLICATIONS: tuple[Replication, ...] = ()
