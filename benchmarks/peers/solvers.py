"""The verifiers that ``verification.py`` compares, behind one method.

``run(instance, cap)`` loads the model and the property, then times the solving alone:
starting processes and reading files is excluded for all.

* ``precond``: ``precond.vnnlib.decide.solve`` in this process.
* ``vibecheck``: vibecheck-nn in a process of its own (``vibecheck_driver.py``), with its own
  choice of threads unless one is given.
* ``marabou``: maraboupy with its default options, in a process of its own, one query per
  conjunct in the encoding of ``precond.proof.engines.marabou.query`` (its own ONNX parser
  reads ``Sub`` wrongly).  Witnesses are not replayed: its word is taken.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from peers.instances import Instance

from precond.formats.load import load
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.marabou.engine import WORKER
from precond.proof.engines.marabou.query import build_query
from precond.proof.processes.child import Died, TimedOut
from precond.proof.processes.solver import Process
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.vnnlib.query import Query
from precond.vnnlib.read import read_vnnlib
from precond.vnnlib.solution import solve

DRIVER = Path(__file__).with_name("vibecheck_driver.py")
LATE = 30.0  # seconds past the cap after which a driver is killed
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Run:
    """``verdict``: sat, unsat, or another word for undecided.  ``cpu``: seconds of all threads
    and ended children, where they are known."""

    verdict: str
    seconds: float
    cpu: float | None = None
    note: str = ""


class Solver(Protocol):
    def run(self, instance: Instance, cap: float) -> Run: ...

    def close(self) -> None: ...


class Precond:
    def run(self, instance: Instance, cap: float) -> Run:
        query = _query(instance)
        begun, cpu = time.perf_counter(), sum(os.times()[:4])
        solution = solve(query, Deadline.after(cap))
        seconds, cpu = time.perf_counter() - begun, sum(os.times()[:4]) - cpu
        engines = dict.fromkeys(v.engine for v in solution.verdicts.values())
        return Run(solution.result.value, seconds, cpu, ", ".join(engines))

    def close(self) -> None:
        """Nothing is left open."""


class Vibecheck:
    """``python``: an interpreter that has vibecheck-nn."""

    def __init__(self, python: Path, threads: int | None) -> None:
        self.python = python
        self.threads = threads
        self.child: subprocess.Popen[str] | None = None

    def run(self, instance: Instance, cap: float) -> Run:
        if self.child is None or self.child.poll() is not None:
            environment = {k: v for k, v in os.environ.items() if k not in THREADS}
            if self.threads is not None:
                environment |= dict.fromkeys(THREADS, str(self.threads))
            self.child = subprocess.Popen(
                [str(self.python), str(DRIVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        assert self.child.stdin is not None and self.child.stdout is not None
        asked = {
            "network": str(instance.network),
            "property": str(instance.property),
            "cap": cap,
        }
        self.child.stdin.write(json.dumps(asked) + "\n")
        self.child.stdin.flush()
        ready, _, _ = select.select([self.child.stdout], [], [], cap + LATE)
        if not ready:
            self.close()
            return Run("timed-out", cap, note="killed")
        line = self.child.stdout.readline()
        if not line:
            self.close()
            return Run("error", cap, note="the driver ended")
        said = json.loads(line)
        return Run(said["verdict"], float(said["seconds"]), float(said["cpu"]))

    def close(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


class Marabou:
    def __init__(self) -> None:
        self.process: Process | None = None

    def run(self, instance: Instance, cap: float) -> Run:
        return self.decide(_query(instance).claims, cap)

    def decide(self, claims: Sequence[Claim], cap: float) -> Run:
        """``unsat``: Marabou says that every claim holds."""
        process = self._started()
        begun = time.perf_counter()
        try:
            verdict = self._answer(claims, process, Deadline.after(cap))
        except (TimedOut, Died) as error:
            verdict = "timed-out" if isinstance(error, TimedOut) else "error"
            self.process = None
        return Run(verdict, time.perf_counter() - begun)

    def _answer(self, claims: Sequence[Claim], process: Process, deadline: Deadline) -> str:
        verdict = "unsat"
        for claim in claims:
            problem = claim.problem
            for conjunct in problem.conjuncts:
                built = build_query(problem, conjunct)
                if isinstance(built, str):  # interval arithmetic excludes it
                    continue
                status = str(process.ask(built.arrays(), deadline)["status"])
                if status == "sat":
                    return "sat"
                if status != "unsat":
                    verdict = status.lower()
        return verdict

    def _started(self) -> Process:
        """A process that has loaded Marabou and answered a query."""
        if self.process is None or not self.process.alive:
            self.process = Process(WORKER)
            claim = _trivial()
            built = build_query(claim.problem, claim.problem.conjuncts[0])
            if isinstance(built, str):
                raise RuntimeError(built)
            self.process.ask(built.arrays(), Deadline.after(60.0))
        return self.process

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None


def _query(instance: Instance) -> Query:
    return read_vnnlib(instance.property, load(instance.network))


def _trivial() -> Claim:
    """relu(x) ≤ 1/2 on [−1, 1]."""
    one = Affine(np.ones((1, 1)), np.zeros(1))
    network = Network(
        (
            Node("z", one, (INPUT,)),
            Node("a", ReLU(), ("z",)),
            Node("y", one, ("a",)),
        ),
        (1,),
    )
    limit = Property(((Inequality(((0, -1.0),), -0.5),),))
    return Claim(network, Box(np.array([-1.0]), np.array([1.0])), DecisionPattern(), limit)
