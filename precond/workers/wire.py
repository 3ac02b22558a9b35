"""How jobs travel to workers: pickled, with networks and shared arrays by name only.

What is shared is sent to a worker once, before the first job that names it.  An array that
is mapped from a file is sent as the file's name to workers on the same machine.  Both ends
are this package, run by the same user; no file is ever unpickled.
"""

from __future__ import annotations

import io
import pickle
import uuid
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.proof.ledger.ledger import LedgerRow


@dataclass(frozen=True, eq=False)
class Parcel:
    """A pickled job and the names of what it shares."""

    job: bytes
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class WorkOrder:
    """What a worker is asked: the shared values it lacks, a job, where the ledger is, and the
    names of shared values that it may forget.

    Without a ``ledger`` the verdicts come back as entries.
    """

    shared: Mapping[str, bytes]
    job: bytes
    ledger: str | None = None
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reply:
    """What a worker answers: a result, or an exception, or why there is none."""

    result: Any = None
    error: BaseException | None = None
    trace: str = ""
    failed: str = ""
    entries: tuple[LedgerRow, ...] = field(default=())


@dataclass(frozen=True)
class _Mapped:
    """An array in a file that is there already."""

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]

    def load(self) -> NDArray[Any]:
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


class Sender:
    """The parent's end: gives shared values their names.  ``local``: files are common.

    A network is shared as long as it is used; an array that was shared stays.
    """

    def __init__(self, local: bool) -> None:
        self._local = local
        self._names: dict[int, str] = {}
        self._values: dict[str, dict[int, Any]] = {}  # by name and id: equal networks share one

    def share(self, value: Network | NDArray[Any]) -> str:
        key = id(value)
        name = self._names.get(key)
        if name is None:
            network = isinstance(value, Network)
            name = value.hash if isinstance(value, Network) else uuid.uuid4().hex
            self._names[key] = name
            # The reference also keeps an array, and so its id, alive.
            self._values.setdefault(name, {})[key] = weakref.ref(value) if network else value
            if network:
                weakref.finalize(value, self._forget, key).atexit = False
        return name

    def _forget(self, key: int) -> None:
        name = self._names.pop(key)
        del self._values[name][key]
        if not self._values[name]:
            del self._values[name]

    def gone(self, names: Collection[str]) -> tuple[str, ...]:
        """Those of ``names`` that are not shared any more."""
        return tuple(name for name in names if name not in self._values)

    def pack(self, job: object) -> Parcel:
        target = io.BytesIO()
        names: dict[str, None] = {}
        pickler = pickle.Pickler(target, protocol=pickle.HIGHEST_PROTOCOL)

        def named(value: object) -> str | None:
            if isinstance(value, Network):
                self.share(value)
            name = self._names.get(id(value))
            if name is not None:
                names[name] = None
            return name

        pickler.persistent_id = named  # type: ignore[method-assign]  # pickle allows it
        pickler.dump(job)
        return Parcel(target.getvalue(), tuple(names))

    def value(self, name: str) -> bytes:
        """A shared value, pickled."""
        value = next(iter(self._values[name].values()))
        value = value() if isinstance(value, weakref.ref) else value
        if self._local and isinstance(value, np.memmap) and value.flags.c_contiguous:
            base = value
            while isinstance(base.base, np.memmap):
                base = base.base
            if isinstance(base.filename, str | Path):
                start = value.ctypes.data - base.ctypes.data
                value = _Mapped(
                    str(Path(base.filename).absolute()),
                    value.dtype.str,
                    base.offset + start,
                    shape=value.shape,
                )
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


class Receiver:
    """The worker's end: keeps shared values."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def keep(self, shared: Mapping[str, bytes], gone: Collection[str] = ()) -> None:
        for name in gone:
            del self._values[name]
        for name, content in shared.items():
            value = pickle.loads(content)
            self._values[name] = value.load() if isinstance(value, _Mapped) else value

    def unpack(self, job: bytes) -> Any:
        unpickler = pickle.Unpickler(io.BytesIO(job))
        value = self._values.__getitem__
        unpickler.persistent_load = value  # type: ignore[method-assign]  # pickle allows it
        return unpickler.load()
