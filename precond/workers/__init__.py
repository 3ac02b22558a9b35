"""Where jobs run: in this process, in local worker processes, or on a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.workers.pool import open_pool as open_pool
    from precond.workers.pool import prove_all as prove_all

_HOMES = {
    "open_pool": "precond.workers.pool",
    "prove_all": "precond.workers.pool",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
