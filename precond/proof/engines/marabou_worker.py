"""The child process that runs Marabou: one query at a time, over pipes.

    python -m precond.proof.engines.marabou_worker

Frames in both directions: eight bytes of length (big-endian), then an ``.npz`` of plain
arrays.  The first frame out is empty when Marabou was loaded, or names the error.  A query
holds what ``Query`` in ``marabou.py`` lists; the answer is its status and, for ``sat``, the
value of every variable.  Marabou's own prints go nowhere.  The kernel ends this process
when its parent ends, and when a query runs far past its limit.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = 8
PR_SET_PDEATHSIG = 1
GRACE = 5  # seconds past a query's limit after which the alarm kills this process

Arrays = Mapping[str, NDArray[Any]]


def pack(arrays: Arrays) -> bytes:
    """A frame: length and ``.npz``."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]
    body = buffer.getvalue()
    return len(body).to_bytes(HEADER, "big") + body


def unpack(body: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a frame's body; objects are refused."""
    with np.load(io.BytesIO(body), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


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
    options._timeoutInSeconds = int(query["seconds"])
    status, values, _ = MarabouCore.solve(problem, options)
    found = np.array([values[v] for v in range(count)] if status == "sat" else [], dtype=float)
    return {"status": np.array(str(status)), "values": found}


def main() -> None:
    """Serve queries until the parent closes the pipe."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    try:
        from maraboupy import MarabouCore  # noqa: F401

        ready = {"error": np.array("")}
    except ImportError as error:
        ready = {"error": np.array(str(error))}
    target.write(pack(ready))
    target.flush()
    while len(header := source.read(HEADER)) == HEADER:
        query = unpack(source.read(int.from_bytes(header, "big")))
        signal.alarm(int(query["seconds"]) + GRACE)  # default action: end, whatever runs
        result = answer(query)
        signal.alarm(0)
        target.write(pack(result))
        target.flush()


if __name__ == "__main__":
    main()
