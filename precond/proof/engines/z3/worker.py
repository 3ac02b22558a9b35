"""The child process that runs z3 (``proof.solver_process``).

    python -m precond.proof.engines.z3.worker

A query is SMT-LIB text over reals v0, v1, …; the answer its status (sat, unsat, or why z3
does not know) and, for sat, the value of every variable as a fraction.  Every query has a
context of its own, so that no answer depends on what was asked before.
"""

from __future__ import annotations

import importlib

import numpy as np

from precond.proof.processes.solver import Arrays, serve


def answer(query: Arrays) -> Arrays:
    """Ask z3; ``text`` and ``count`` as ``z3_child`` sends them."""
    import z3

    context = z3.Context()
    solver = z3.SolverFor("QF_LRA", ctx=context)
    solver.from_string(str(query["text"]))
    solver.set("timeout", max(1, int(1000 * float(query["seconds"]))))
    found = solver.check()
    values: list[str] = []
    if found == z3.sat:
        model = solver.model()
        for k in range(int(query["count"])):
            value = model.eval(z3.Real(f"v{k}", context), model_completion=True)
            values.append(f"{value.numerator_as_long()}/{value.denominator_as_long()}")
    status = solver.reason_unknown() if found == z3.unknown else str(found)
    return {"status": np.array(status), "values": np.array(values, dtype=np.str_)}


def library() -> None:
    """Raises ImportError where z3 is missing."""
    importlib.import_module("z3")


if __name__ == "__main__":
    serve(library, answer)
