"""z3 asked in a child process, one for each thread.

z3 looks at its limit between steps, and one step over long rational numbers has been seen to
take minutes; so what is late is killed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from precond.proof.deadline import Deadline
from precond.proof.processes.child import Died, TimedOut
from precond.proof.processes.solver import Process

WORKER = "precond.proof.engines.z3.worker"


class Undecided(Exception):
    """z3 gave up, or ran out of time."""


class _Mine(threading.local):
    process: Process | None = None


_mine = _Mine()


def solved(assertions: Sequence[str], count: int, deadline: Deadline) -> list[Fraction] | None:
    """Values of the variables ``v0`` … ``v<count − 1>`` that satisfy all assertions (SMT-LIB
    text), or None where there are none; ``Undecided`` past the deadline."""
    if deadline.passed:
        raise Undecided("out of time")
    declared = [f"(declare-const v{k} Real)" for k in range(count)]
    text = "\n".join([*declared, *(f"(assert {a})" for a in assertions)])
    if _mine.process is None or not _mine.process.alive:
        _mine.process = Process(WORKER)
    try:
        found = _mine.process.ask({"text": np.array(text), "count": np.array(count)}, deadline)
    except TimedOut as error:
        raise Undecided("out of time, the z3 process was killed") from error
    except Died as error:
        raise Undecided(f"the z3 process: {error}") from error
    status = str(found["status"])
    if status == "unsat":
        return None
    if status != "sat":
        raise Undecided(f"z3: {status}")
    return [Fraction(str(value)) for value in found["values"]]
