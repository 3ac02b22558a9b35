"""``precond diagnose``: how far the boundary is, as far as the budget goes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from precond.commands.timed import TimedParts
from precond.errors import QueryError
from precond.proof.deadline import Deadline, OutOfTime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attribution.diagnosis.margins import SubspaceMargins
    from attribution.diagnosis.subspaces import Subspace
    from precond.network.graph import Network

TOGETHER = 64  # inputs whose margins are looked for at once
FEW = 8  # … within a budget, so that it can be kept
MARGINS, CERTIFIED = 0.4, 0.4  # of the time left, within a budget


def found_margins(
    arguments: argparse.Namespace,
    network: Network,
    inputs: NDArray[np.floating],
    spaces: tuple[Subspace, ...],
    parts: TimedParts,
) -> SubspaceMargins:
    """Of the inputs that there is time for, those at the front."""
    from attribution.diagnosis.margins import joined_margins, subspace_margins

    size = TOGETHER if arguments.budget is None else FEW
    limit = _share(arguments, parts.deadline, MARGINS)
    parts.bars.stage("margins", len(spaces) * -(-len(inputs) // size))
    found: list[SubspaceMargins] = []
    for start in range(0, len(inputs), size):
        try:
            if found:
                limit.check()
            some = inputs[start : start + size]
            found.append(subspace_margins(network, some, spaces, done=parts.step))
        except OutOfTime:
            break
    done = sum(len(one.predicted) for one in found)
    if not found:
        raise QueryError(
            "--budget",
            expected=f"time for the margins of {min(FEW, len(inputs))} inputs",
            got=f"{arguments.budget:g} s",
            fix="Give a larger --budget, or a smaller --most",
        )
    if done < len(inputs):
        parts.left_out.append(f"time ran out: margins of {done} of {len(inputs)} inputs only")
    return joined_margins(found)


def surely_kept(
    arguments: argparse.Namespace,
    network: Network,
    inputs: NDArray[np.floating],
    margins: SubspaceMargins,
    spaces: tuple[Subspace, ...],
    parts: TimedParts,
) -> NDArray[np.float64]:
    from precond.apply.certification.subspaces import ROUNDS, certified_margins

    limit = _share(arguments, parts.deadline, CERTIFIED).earlier(arguments.certify)
    parts.bars.stage("certified", len(spaces) * ROUNDS)
    found = certified_margins(
        network,
        inputs,
        margins.predicted,
        subspaces=spaces,
        upper=margins.sizes,
        deadline=limit,
        done=parts.bars.step,
    )
    if limit.passed:
        parts.left_out.append("time ran out while margins were certified: some could be larger")
    return found


def _share(arguments: argparse.Namespace, deadline: Deadline, share: float) -> Deadline:
    """A part of what is left of the budget, if there is one."""
    return deadline if arguments.budget is None else deadline.earlier(share * deadline.left)
