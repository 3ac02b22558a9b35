"""An engine that runs in a process of its own, beside the searches of this one.

It starts after a head start of a few seconds, in which most claims are answered, and only
where a core is free for it.  Its witness, once replayed, stops the searches (they poll their
deadline); when they are done before it, it is stopped.  Its "no solution" is not rigorous, so
it stops nothing and counts as the second opinion it is.  Which of two true answers comes
first may differ between runs; what they say of the claim cannot.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from precond.network.layers import Affine, Conv2d
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Answer, Engine, Outcome, Stoppable
from precond.proof.processes.cores import free_cores

Array = NDArray[np.float64]
HEAD_START = 3.0  # seconds
MOST_CONJUNCTS = 10
MOST_PRODUCTS = 100_000  # of all layers: beyond, halving a search on the second core wins more
TICK = 0.05  # seconds between looks at the racer


def runner_of(engines: Sequence[Engine], problem: Problem) -> Stoppable | None:
    """The engine to run beside the others: one that can be stopped, takes the problem, has a
    chance at its size, and finds a free core."""
    network = problem.network
    products = 0
    for node in network.nodes:
        if isinstance(node.layer, Affine):
            products += node.layer.weight.size
        elif isinstance(node.layer, Conv2d):
            products += network.width(node.name) * node.layer.weight[0].size
    if not 0 < len(problem.conjuncts) <= MOST_CONJUNCTS or products > MOST_PRODUCTS:
        return None
    if len(engines) < 2 or free_cores() < 1.5:
        return None
    stoppable = [engine for engine in engines if isinstance(engine, Stoppable)]
    return next((engine for engine in stoppable if engine.unsupported(problem) is None), None)


class Racer:
    """``engine`` on its own thread, one conjunct after another.

    ``others``: the deadline of what runs beside it; cancelled when ``won``, that is when a
    witness was found for which ``counts`` holds.
    """

    def __init__(
        self,
        engine: Stoppable,
        problem: Problem,
        deadline: Deadline,
        counts: Callable[[Array], bool],
    ) -> None:
        self.engine = engine
        self.problem = problem
        self.deadline = deadline
        self.counts = counts
        self._won = threading.Event()
        self._stopped = threading.Event()
        self._go = threading.Event()  # before the head start is over
        self._answers: dict[Conjunct, Answer] = {}
        self._thread = threading.Thread(target=self._run, name=f"race {engine.name}", daemon=True)
        self.others = Deadline(deadline.at, self._won)
        self.seconds = 0.0
        self._error: BaseException | None = None

    @property
    def won(self) -> bool:
        return self._won.is_set()

    def start(self) -> None:
        self._thread.start()

    def finish(self, needed: Callable[[], bool]) -> dict[Conjunct, Answer]:
        """Its answers when it is through, or at the deadline."""
        self._go.set()
        while self._thread.is_alive() and needed() and not self.deadline.passed:
            self._thread.join(TICK)
        return self.stop()

    def stop(self) -> dict[Conjunct, Answer]:
        """End it wherever it is; the answers it had.  Again does nothing."""
        self._stopped.set()
        self._go.set()
        while self._thread.is_alive():  # it may be between two queries
            self.engine.stop()
            self._thread.join(TICK)
        if self._error is not None:
            raise self._error
        return dict(self._answers)

    def _run(self) -> None:
        try:
            self._solve()
        except BaseException as error:  # raised again in the thread that asked
            self._error = error

    def _solve(self) -> None:
        self._go.wait(min(HEAD_START, 0.1 * self.deadline.left))
        begun = time.monotonic()
        pending = list(self.problem.conjuncts)
        while pending and not self._stopped.is_set():
            conjunct = pending.pop(0)
            limit = self.deadline.earlier(self.deadline.left / (len(pending) + 1))
            try:
                (answer,) = self.engine.solve(self.problem.only((conjunct,)), limit)
            finally:
                self.seconds = time.monotonic() - begun
            if self._stopped.is_set() and answer.outcome is Outcome.UNDECIDED:
                return
            self._answers[conjunct] = answer
            found = answer.witness if answer.outcome is Outcome.WITNESS else None
            if found is not None and self.counts(found):
                self._won.set()
                return
