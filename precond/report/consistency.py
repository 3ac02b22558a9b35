"""What two networks both know → tables and pictures of a page, and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.diagnosis.consistency import Consistency
from precond.report.evidence import Gallery, Subject, Table, Thumb
from precond.report.plot.pictures import row_picture

SHOWN = 8
UNITS = 10


@dataclass(frozen=True, kw_only=True)
class KnownLayer:
    """One network and the layer compared.  ``known``: its features, rebuilt from the other's;
    ``accuracy`` and ``rebuilt_accuracy``: on held-out inputs, with its own features and with those
    that were rebuilt in their place; None without labels."""

    model: str
    layer: str
    known: Consistency
    accuracy: float | None = None
    rebuilt_accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class TwoNetworks:
    """Two networks on the same inputs; ``rows``: numbers of the inputs in the data."""

    own: KnownLayer
    other: KnownLayer
    rows: NDArray[np.int64]

    @property
    def lead(self) -> str:
        """Both shares in one sentence."""
        own, other = self.own.known.explained[-1], self.other.known.explained[-1]
        return (
            f"Of what {self.own.layer} tells, {_percent(own)} can be rebuilt from "
            f"{self.other.layer} of {self.other.model}; the other way round {_percent(other)}."
        )


def _percent(share: float) -> str:
    return f"{100 * max(0.0, share):.1f} %"


def orders_table(found: TwoNetworks) -> Table:
    """Shares explained by order, and accuracies with rebuilt features."""
    sides = (found.own, found.other)
    orders = range(len(found.own.known.explained))
    rows = [
        (
            f"orders up to {k}" if k else "order 0 (affine)",
            *(_percent(side.known.explained[k]) for side in sides),
        )
        for k in orders
    ]
    for words, values in (
        ("accuracy", [side.accuracy for side in sides]),
        ("accuracy with rebuilt features", [side.rebuilt_accuracy for side in sides]),
    ):
        if None not in values:
            rows.append((words, *(_percent(value or 0.0) for value in values)))
    return Table(
        "How much of a layer the other network knows",
        remark=f"{len(found.own.known.held_out)} held-out inputs",
        head=("", *(f"{side.model}, {side.layer}" for side in sides)),
        rows=tuple(rows),
    )


def units_table(side: KnownLayer, title: str) -> Table:
    """The units of which the other network knows least."""
    last = side.known.units[-1]
    order = [int(k) for k in np.argsort(last) if np.isfinite(last[k])][:UNITS]
    rows = tuple((str(k), _percent(side.known.units[0, k]), _percent(last[k])) for k in order)
    head = ("unit", "by an affine map", "by all orders")
    words = f"of {side.layer} in {side.model}; share of its variance that can be rebuilt"
    return Table(title, remark=words, head=head, rows=rows)


def least_known(
    found: TwoNetworks, side: KnownLayer, subject: Subject, flat: NDArray[np.floating]
) -> Gallery | None:
    """The inputs whose features the other network can least rebuild, as pictures."""
    if subject.image_shape is None:
        return None
    order = np.argsort(-side.known.by_input, kind="stable")[:SHOWN]
    rows = found.rows[side.known.held_out[order]]
    thumbs = tuple(
        Thumb(
            row_picture(flat[row], subject.image_shape, subject.natural),
            caption=f"input {row}",
            title=f"input {row}, whose features are rebuilt worst",
        )
        for row in rows
    )
    return Gallery(f"Inputs of which {side.model} knows most that the other does not", "", thumbs)


def consistency_json(found: TwoNetworks) -> str:
    """All shares, as JSON; a unit that does not vary has null."""

    def side(one: KnownLayer) -> dict[str, object]:
        units = [[None if np.isnan(v) else float(v) for v in line] for line in one.known.units]
        return {
            "model": one.model,
            "layer": one.layer,
            "explained_by_order": [float(v) for v in one.known.explained],
            "units_by_order": units,
            "accuracy": one.accuracy,
            "accuracy_rebuilt": one.rebuilt_accuracy,
        }

    held_out = found.rows[found.own.known.held_out]
    whole = {
        "model": side(found.own),
        "against": side(found.other),
        "held_out_rows": [int(row) for row in held_out],
        "rest_by_input": [float(v) for v in found.own.known.by_input],
    }
    return json.dumps(whole, indent=1)
