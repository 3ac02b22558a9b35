"""The child process that runs Marabou (``proof.solver_process``).

    python -m precond.proof.engines.marabou.worker

A query holds what ``MarabouQuery`` in ``build.py`` lists; the answer is its status and, for
``sat``, the value of every variable.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.proof.processes.solver import Arrays, serve


def answer(query: Arrays) -> dict[str, NDArray[Any]]:
    """Run Marabou on one query."""
    from maraboupy import MarabouCore

    count = len(query["lower"])
    problem = MarabouCore.InputQuery()
    problem.setNumberOfVariables(count)
    for position, variable in enumerate(query["inputs"]):
        problem.markInputVariable(int(variable), position)
    for position, variable in enumerate(query["outputs"]):
        problem.markOutputVariable(int(variable), position)
    for variable in range(count):
        if np.isfinite(query["lower"][variable]):
            problem.setLowerBound(variable, float(query["lower"][variable]))
        if np.isfinite(query["upper"][variable]):
            problem.setUpperBound(variable, float(query["upper"][variable]))
    starts, variables, factors = query["starts"], query["variables"], query["factors"]
    for row, scalar in enumerate(query["scalars"]):
        equation = MarabouCore.Equation()
        for k in range(starts[row], starts[row + 1]):
            equation.addAddend(float(factors[k]), int(variables[k]))
        equation.setScalar(float(scalar))
        problem.addEquation(equation)
    for (before, after), slope in zip(query["neurons"], query["slopes"], strict=True):
        if slope == 0.0:
            MarabouCore.addReluConstraint(problem, int(before), int(after))
        else:
            MarabouCore.addLeakyReluConstraint(problem, int(before), int(after), float(slope))
    pool_starts, members = query["pool_starts"], query["members"]
    for pool, target in enumerate(query["pools"]):
        chosen = {int(v) for v in members[pool_starts[pool] : pool_starts[pool + 1]]}
        MarabouCore.addMaxConstraint(problem, chosen, int(target))
    options = MarabouCore.Options()
    options._verbosity = 0
    options._timeoutInSeconds = max(1, int(np.ceil(query["seconds"])))
    status, values, _ = MarabouCore.solve(problem, options)
    found = np.array([values[v] for v in range(count)] if status == "sat" else [], dtype=float)
    return {"status": np.array(str(status)), "values": found}


def library() -> None:
    """Raises ImportError where Marabou is missing."""
    importlib.import_module("maraboupy.MarabouCore")


if __name__ == "__main__":
    serve(library, answer)
