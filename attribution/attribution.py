"""``Attribution``: numbers for input features or internal units, and how they were got."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, OutputError, QueryError

Array = NDArray[np.float64]
AFFINE_NOTE = (
    "nothing nonlinear follows the slice: its influence is a row of weights, the same for "
    "every input"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribution:
    """Attributions of the parts of a slice (one part, unless inputs or layers are several).

    Each part is (rows, *shape) float64; with several quantities (Q, rows, *shape).
    ``completeness`` (…, rows) is |Σ values − (q(x) − q(x'))| where that is defined, ``change``
    the difference q(x) − q(x').  ``evaluated`` counts rows on which a gradient was computed.
    """

    parts: tuple[Array, ...]
    names: tuple[str, ...]
    quantities: tuple[str, ...]
    method: str
    rule: str
    evaluated: int
    several: bool = False
    completeness: Array | None = None
    change: Array | None = None
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> Array:
        """The values, where the slice has one part."""
        if len(self.parts) != 1:
            raise QueryError(
                "values of an attribution",
                expected="one part",
                got=f"{len(self.parts)}: {', '.join(self.names)}",
                fix="Read .parts",
            )
        return self.parts[0]

    def flat(self, row: int = 0, quantity: int = 0) -> Array:
        """All parts of one row, flat and joined."""
        if self.several and not 0 <= quantity < len(self.quantities):
            raise DataError("quantity", expected=f"below {len(self.quantities)}", got=str(quantity))
        picked = [p[quantity] if self.several else p for p in self.parts]
        if picked and not -len(picked[0]) <= row < len(picked[0]):
            raise DataError("row", expected=f"below {len(picked[0])}", got=str(row))
        return np.concatenate([p[row].reshape(-1) for p in picked])

    def unit_name(self, index: int) -> str:
        """Name of a flat position, such as ``fc1[3]`` or ``conv1[2, 5, 5]``."""
        if index < 0:
            raise DataError("unit", expected="an index of 0 or more", got=str(index))
        for name, part in zip(self.names, self.parts, strict=True):
            shape = part.shape[2:] if self.several else part.shape[1:]
            size = math.prod(shape)
            if index < size:
                place = ", ".join(str(i) for i in np.unravel_index(index, shape))
                return f"{name}[{place}]" if place else name
            index -= size
        raise DataError("unit", expected="a smaller index", got=str(index))

    def top(self, k: int, *, row: int = 0, quantity: int = 0) -> list[tuple[str, float]]:
        """The ``k`` units with the largest magnitude, largest first."""
        flat = self.flat(row, quantity)
        order = np.argsort(-np.abs(flat), kind="stable")[:k]
        return [(self.unit_name(int(i)), float(flat[i])) for i in order]

    def clip(self, percentile: float) -> Attribution:
        """Values cut off at ± the percentile of each row's magnitudes."""
        if not 0 < percentile <= 100:
            raise QueryError("percentile", expected="in (0, 100]", got=str(percentile))
        parts = []
        for part in self.parts:
            axes = tuple(range(2 if self.several else 1, part.ndim))
            limit = np.percentile(np.abs(part), percentile, axis=axes, keepdims=True)
            parts.append(np.clip(part, -limit, limit))
        note = f"clipped at the {percentile:g}th percentile of magnitude"
        return replace(self, parts=tuple(parts), completeness=None, notes=(*self.notes, note))

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.npz`` file; ``Attribution.load`` reads it back."""
        target = Path(path)
        if target.suffix != ".npz":
            raise OutputError(str(path), expected="a name that ends in .npz", got=target.suffix)
        about = {
            "names": self.names,
            "quantities": self.quantities,
            "method": self.method,
            "rule": self.rule,
            "evaluated": self.evaluated,
            "several": self.several,
            "notes": self.notes,
        }
        arrays: dict[str, NDArray[Any]] = {"about": np.array(json.dumps(about))}
        arrays |= {f"part{i}": part for i, part in enumerate(self.parts)}
        for name in ("completeness", "change"):
            value = getattr(self, name)
            if value is not None:
                arrays[name] = value
        try:
            np.savez_compressed(target, **arrays)  # type: ignore[arg-type]  # no name is NumPy's
        except OSError as error:
            raise OutputError(
                f"cannot write {path}", got=str(error), fix="Choose another place"
            ) from error
        return target

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Read a file written by ``save``."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                about = json.loads(str(stored["about"]))
                parts = tuple(stored[f"part{i}"] for i in range(len(about["names"])))
                rest = {name: stored[name] for name in ("completeness", "change") if name in stored}
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                str(path), expected="a file written by Attribution.save", got=str(error)
            ) from error
        return cls(
            parts=parts,
            names=tuple(about["names"]),
            quantities=tuple(about["quantities"]),
            method=about["method"],
            rule=about["rule"],
            evaluated=about["evaluated"],
            several=about["several"],
            completeness=rest.get("completeness"),
            change=rest.get("change"),
            notes=tuple(about["notes"]),
        )
