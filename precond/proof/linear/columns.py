"""Columns and rows of a linear system while it grows, in sparse matrices of one width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from precond.basics.shapes import Float, Int
from precond.proof.bounds.rounding import bare_gamma
from precond.proof.claim import HalfSpaces
from precond.proof.linear.blocks import Sparse, underflow
from precond.proof.linear.system import Expression
from precond.region.box import Box

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class GrowingSystem:
    """The first columns are the inputs; there will be at most ``capacity``.

    ``limits``: of each block of rows its lower and upper limits and its error.
    """

    def __init__(self, box: Box, capacity: int) -> None:
        self.inputs = box.size
        self.capacity = capacity
        self.column_lower = box.lower
        self.column_upper = box.upper
        self.rows: list[Sparse] = []
        self.limits: list[tuple[Array, Array, Array]] = []
        self.count = 0

    @property
    def largest(self) -> Array:
        largest = np.zeros(self.capacity)
        size = len(self.column_lower)
        largest[:size] = np.maximum(np.abs(self.column_lower), np.abs(self.column_upper))
        return largest

    def selection(
        self, rows: Int[Index, " entries"], columns: Int[Index, " entries"], height: int
    ) -> Expression:
        """Value ``rows[k]`` is column ``columns[k]``; the others are zero."""
        matrix = coo_array((np.ones(len(rows)), (rows, columns)), shape=(height, self.capacity))
        return Expression(csr_array(matrix), np.zeros(height), np.zeros(height), simple=True)

    def add_columns(
        self, lower: Float[Array, " new"], upper: Float[Array, " new"]
    ) -> Int[Index, " new"]:
        first = len(self.column_lower)
        self.column_lower = np.concatenate([self.column_lower, lower])
        self.column_upper = np.concatenate([self.column_upper, upper])
        return np.arange(first, first + len(lower))

    def add_rows(
        self,
        matrix: Sparse,
        lower: Float[Array, " new"],
        upper: Float[Array, " new"],
        error: Float[Array, " new"],
    ) -> Int[Index, " new"]:
        self.rows.append(matrix)
        self.limits.append((lower, upper, error))
        self.count += matrix.shape[0]
        return np.arange(self.count - matrix.shape[0], self.count)

    def interval(self, z: Expression) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Bounds of an expression from the columns' bounds, rounded outward."""
        size = len(self.column_lower)
        matrix = z.matrix[:, :size]
        positive, negative = matrix.maximum(0.0), matrix.minimum(0.0)
        low = positive @ self.column_lower + negative @ self.column_upper + z.constant
        high = positive @ self.column_upper + negative @ self.column_lower + z.constant
        terms = 2 * int(np.diff(matrix.indptr).max(initial=0)) + 4
        margin = z.error + bare_gamma(terms) * z.reach(self.largest)
        margin = margin + underflow(matrix, self.largest[:size])
        return low - margin, high + margin

    def halfspaces(self, halfspaces: HalfSpaces) -> Int[Index, " halfspaces"]:
        rows, columns = np.nonzero(halfspaces.matrix)
        count = len(halfspaces.bound)
        matrix = self.entries(rows, columns, halfspaces.matrix[rows, columns], height=count)
        none = np.full(count, -np.inf)
        return self.add_rows(matrix, none, halfspaces.bound, error=np.zeros(count))

    def between(
        self,
        z: Expression,
        which: Int[Index, " new"],
        low: Float[Array, " new"],
        high: Float[Array, " new"],
    ) -> Int[Index, " new"]:
        """Rows ``low ≤ z ≤ high``; the constant's subtraction is rounded into the error."""
        constant = z.constant[which]
        lower, upper = low - constant, high - constant
        finite = np.where(np.isfinite(lower), np.abs(lower), 0.0)
        finite = np.maximum(finite, np.where(np.isfinite(upper), np.abs(upper), 0.0))
        return self.add_rows(
            z.matrix[which], lower, upper, error=z.error[which] + bare_gamma(2) * finite
        )

    def entries(self, rows: Index, columns: Index, data: Array, height: int) -> Sparse:
        matrix = coo_array((data, (rows, columns)), shape=(height, self.capacity))
        return csr_array(matrix)


def product(weights: Sparse, value: Expression) -> Sparse:
    """``weights · value``, by dense arithmetic where both are dense enough."""
    left, right = weights, value.matrix
    used = np.flatnonzero(np.diff(right.tocsc().indptr))
    if (
        not value.simple
        and len(used)
        and min(
            left.nnz / max(left.shape[0] * left.shape[1], 1),
            right.nnz / max(right.shape[0] * len(used), 1),
        )
        > 0.1
    ):
        dense = left.toarray() @ right.tocsc()[:, used].toarray()
        rows, columns = np.nonzero(dense)
        found = coo_array(
            (dense[rows, columns], (rows, used[columns])), shape=(left.shape[0], right.shape[1])
        )
        return csr_array(found)
    return csr_array(left @ right)
