"""What every engine takes and gives.

An engine gets a ``Problem`` (a region and the conjuncts that would violate the property)
and answers each conjunct: no solution in the region, a candidate solution, or undecided.
Engines never decide a claim's status: ``prove`` does, after replaying candidates.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.proof.bounds.backward import Multipliers, Region, lower_bound
from precond.proof.bounds.multipliers import improve
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline as Deadline
from precond.proof.trace import Leaf, Trace

UNKNOWN_MEMORY = 1 << 31


class Outcome(Enum):
    """An engine's answer to one conjunct."""

    INFEASIBLE = "infeasible"
    WITNESS = "witness"
    UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class Answer:
    """``rigorous``: the answer covers the engine's own rounding.  ``bound``: a lower bound of
    how far the conjunct is from holding anywhere in the region, where known (positive with
    INFEASIBLE).  ``witness``: a candidate input (n,), not yet replayed.  ``trace``: how an
    INFEASIBLE was found, where ``Problem.keep_trace`` asked for it and the engine can say.
    ``done``: the share of the region, 0 to 1, that a stopped search has decided.
    """

    outcome: Outcome
    rigorous: bool = False
    bound: float | None = None
    witness: NDArray[np.float64] | None = None
    note: str = ""
    trace: Trace | None = None
    done: float | None = None


def decides(bound: float | None, conjunct: Conjunct) -> bool:
    """Whether ``−g ≥ bound`` excludes the conjunct: bound > 0, or ≥ 0 if it is all strict."""
    if bound is None:
        return False
    return bound > 0 or (bound == 0 and all(i.strict for i in conjunct))


class Engine(Protocol):
    """One solver."""

    @property
    def name(self) -> str: ...

    def unsupported(self, problem: Problem) -> str | None:
        """Why this engine cannot take ``problem`` (a missing package, a layer kind), or None."""
        ...

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct, by the deadline."""
        ...


@runtime_checkable
class Stoppable(Engine, Protocol):
    """An engine that runs in a process of its own, so that others can run beside it."""

    def stop(self) -> None:
        """From another thread: what runs now ends soon, as undecided."""
        ...


@contextmanager
def plain_sums(device: str) -> Iterator[None]:
    """Convolutions as sums of products, which the error bounds γ_n assume: cuDNN may choose
    FFT or Winograd algorithms, whose rounding is another, so it is left out on a GPU."""
    if torch.device(device).type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=False):
        yield


def free_bytes(device: str) -> float:
    """Memory that is free on ``device`` now; a guess where the system does not say."""
    if torch.device(device).type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float(UNKNOWN_MEMORY)


def closing_leaf(
    region: Region,
    form: Tensor,
    constant: Tensor,
    inputs: Tensor | None,
    tried: Sequence[Multipliers],
    *,
    strict: bool,
    steps: int,
    deadline: Deadline,
) -> Leaf | None:
    """A leaf for one row (1, 1, ·) of one subdomain: the first of ``tried`` that shows the row
    to be positive (≥ 0 where ``strict``), or what ``steps`` of ascent from the last of them find.
    """
    output = region.ops.network.output
    with torch.no_grad():
        for used in tried:
            value = float(lower_bound(region, output, form, constant, used, inputs).value)
            if value > 0 or (strict and value == 0):
                return leaf_of(used)
    # With one row, the multipliers that come back are those of the bound that does.
    initial = tried[-1] if tried else None
    bound, used = improve(
        region,
        output,
        form,
        constant,
        steps=steps,
        deadline=deadline,
        input_form=inputs,
        initial=initial,
    )
    return leaf_of(used) if float(bound.value) > 0 else None


def leaf_of(multipliers: Multipliers) -> Leaf:
    """Multipliers (1, 1, m) as a leaf's."""

    def arrays(values: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
        return {name: value[0, 0].cpu().numpy() for name, value in values.items()}

    half = multipliers.half
    return Leaf(
        None,
        arrays(multipliers.alpha),
        arrays(multipliers.low),
        arrays(multipliers.high),
        None if half is None else half[0, 0].cpu().numpy(),
    )
