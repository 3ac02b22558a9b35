"""HiGHS: models that maximise over a ``LinearSystem``'s rows, and proofs that they are empty.

Signs: y > 0 belongs to a row's upper side, y < 0 to its lower side.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.errors import MissingDependency
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.linear.blocks import Sparse
from precond.proof.linear.system import Expression, LinearSystem, safe_upper
from precond.proof.refusal import Refusal

Array = NDArray[np.float64]
TOLERANCE = 1e-7  # HiGHS' own; a nominal optimum nearer to zero than this says nothing


class State(Enum):
    """How a linear program ended."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"


def refusal(problem: Problem, free: int | None = None) -> Refusal | None:
    """Why no linear program of ``problem`` can be asked (of at most ``free`` undecided neurons,
    where given), or None."""
    if importlib.util.find_spec("highspy") is None:
        return Refusal("the package highspy is not installed")
    beyond = beyond_floats(problem)
    if beyond is not None:
        return beyond
    bounds = (problem.bounds or {}).values()
    if not all(np.isfinite(low).all() and np.isfinite(high).all() for low, high in bounds):
        return Refusal("layer bounds overflow")
    if free is not None and problem.free > free:
        return Refusal(f"{problem.free} free neurons, more than {free}")
    return None


def empty_ray(
    highs: Any, system: LinearSystem, fold: Callable[[Array], Array] | None = None
) -> Array | None:
    """Multipliers of the system's rows (rows,) that prove that the region has no point, from a
    dual ray of an infeasible model; None where it gives none.

    ``fold`` turns the model's row multipliers into the system's; without it they are the
    first ones.
    """
    for attempt in range(2):
        if attempt:  # presolve found it without a basis: ask the simplex method
            highs.setOptionValue("presolve", "off")
            highs.setOptionValue("solver", "simplex")
            highs.clearSolver()
            highs.run()
            highs.setOptionValue("presolve", "choose")
            highs.setOptionValue("solver", "choose")
        _, exists, ray = highs.getDualRay()
        if not exists:
            continue
        y = np.array(ray) if fold is None else fold(np.array(ray))
        y = y[: system.matrix.shape[0]]
        for signed in (y, -y):
            if certifies(system, signed):
                return signed
    return None


def certifies(system: LinearSystem, y: Array) -> bool:
    """Whether y shows 0 < 0 on the region (Farkas), rounding counted."""
    nothing = Expression(csr_array((1, system.matrix.shape[1])), np.zeros(1), np.zeros(1))
    return bool(excludes(-safe_upper(system, nothing, np.zeros(1), duals=y)))


def model(matrix: Sparse, rows: tuple[Array, Array], columns: tuple[Array, Array]) -> Any:
    """A HiGHS model that maximises (costs zero so far), one thread, silent."""
    try:
        import highspy
    except ImportError as error:
        raise MissingDependency(
            "linear programs", expected="the package highspy", got="none", fix="pip install highspy"
        ) from error
    linear = highspy.HighsLp()
    linear.num_row_, linear.num_col_ = matrix.shape
    linear.col_cost_ = np.zeros(matrix.shape[1])
    linear.col_lower_, linear.col_upper_ = columns
    linear.row_lower_, linear.row_upper_ = rows
    linear.sense_ = highspy.ObjSense.kMaximize
    linear.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    linear.a_matrix_.start_ = ints(matrix.indptr)
    linear.a_matrix_.index_ = ints(matrix.indices)
    linear.a_matrix_.value_ = matrix.data
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(linear)
    return highs


def run(highs: Any, deadline: Deadline) -> State:
    """Solve by the deadline; HiGHS counts the time of all runs of a model together."""
    import highspy

    highs.setOptionValue("time_limit", highs.getRunTime() + deadline.left)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return State.OPTIMAL
    if status == highspy.HighsModelStatus.kInfeasible:
        return State.INFEASIBLE
    return State.STOPPED


def add_rows(highs: Any, matrix: Sparse, lower: Array, upper: Array) -> None:
    highs.addRows(
        matrix.shape[0],
        lower,
        upper,
        matrix.nnz,
        ints(matrix.indptr[:-1]),
        ints(matrix.indices),
        matrix.data,
    )


def ints(values: Any) -> NDArray[np.int32]:
    """Rows, columns or starts in HiGHS' own number type."""
    return np.asarray(values, dtype=np.int32)
