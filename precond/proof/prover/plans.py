"""The engines and their order: cheap ones first, the search that suits the problem, then all.

Engines that ``race`` are the dear ones at the end.  One of them that runs in a process of its
own starts beside the others where a core is free for it (``racer``); otherwise each has its
share of the time that is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.engines.attack import AttackEngine
from precond.proof.engines.base import Answer, Engine, Line
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.polytope import PolytopeSplitEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.linear.encode import Bounds, interval_bounds

SOME = 100  # free neurons up to which splitting by linear programs alone is worth a try
FEW = 30  # those up to which linear programs are faster than cheap subdomains
MANY = 400  # those beyond which subdomains with layer bounds of their own pay
MORE = 250  # the same, in searches whose claims mostly hold


@dataclass(frozen=True)
class Stage:
    """An engine and the share of the time left that it may take.  ``races``: it may run at the
    same time as the stages beside it that race.  ``beyond``, ``most``: it is there for more than so
    many free neurons, and at most so many, as the first layer bounds leave them."""

    engine: Engine
    share: float = 1.0
    races: bool = False
    beyond: int = -1
    most: float = math.inf

    def suits(self, free: int) -> bool:
        """Whether it is there for so many free neurons."""
        return self.beyond < free <= self.most

    @property
    def names(self) -> set[str]:
        """The engine's, and that of one it hands its subdomains to."""
        if isinstance(self.engine, TightenSplitEngine):
            return {self.engine.name, self.engine.finish.name}
        return {self.engine.name}


def default_stages(problem: Problem, device: str = "cpu", seed: int = 0) -> tuple[Stage, ...]:
    """All engines, in the order they are tried on ``problem``.  Where a trace is to be kept,
    those that give none come last.

    Few inputs: bisection answers most claims at once, but where a pattern fixes neurons the
    LP may be exact, so it comes first.  Many inputs: the LP and the attack come first, and
    what a short search with cheap subdomains leaves goes to those with dear ones, and back
    to the first where these refuse.  With many free neurons the dear ones are those that refine
    all layer bounds.
    """
    bisection = InputSplitEngine(device)
    few = bisection.unsupported(problem) is None
    attacking = Stage(AttackEngine(device, seed=seed), 0.2)
    quick: tuple[Stage, ...] = (Stage(BoundsEngine(device, steps=0)),)
    if problem.intervals or not few:
        quick += (attacking, Stage(_LINEAR, 0.5))
    if not few:
        quick += (Stage(BoundsEngine(device, steps=40, name="bounds-optimised"), 0.3),)
    if not problem.keep_trace:
        quick += (Stage(Z3Engine(products=2_000, free=16), 0.1),)
    if few:
        quick += (Stage(bisection, 0.7),)
    if not problem.intervals and few:
        quick += (attacking, Stage(_LINEAR, 0.5))
    phases = ReluSplitEngine(device, leaf=_leaf)
    splits: tuple[Stage, ...] = (Stage(phases, 0.85, races=True),)
    if not few:
        short = Stage(phases, 0.15, races=True, most=MANY)
        # Dear subdomains come soon, unless most of the cheap ones have closed by then.
        shorter = Stage(replace(phases, trial=0.2), 0.3, races=True, beyond=MANY)
        refining = Stage(RefineSplitEngine(device, leaf=_leaf), 0.8, races=True, beyond=MANY)
        programs = Stage(LpSplitEngine(device, free=SOME), 0.3, races=True)
        # In a certificate the bounds of every subdomain would be steps of their own.
        last = replace(phases, root_steps=0) if problem.keep_trace else phases
        dear = Stage(TightenSplitEngine(last, device), 0.95, races=True)
        splits = (short, shorter, refining, programs, dear, *splits)
    return (
        *quick,
        *splits,
        Stage(Z3Engine(), 0.5, races=True),
        Stage(HighsEngine(known_bounds, milp_neurons=30), 0.5, races=True),
        Stage(_MARABOU, races=True),
    )


def quick_stages(device: str = "cpu") -> tuple[Stage, ...]:
    """Engines that answer in one go, for searches that ask many small questions."""
    return (Stage(BoundsEngine(device, steps=0)), Stage(_LINEAR))


def bounds_stages(device: str = "cpu", steps: int = 8) -> tuple[Stage, ...]:
    """Bounds alone, with so many steps of multipliers."""
    return (Stage(BoundsEngine(device, steps=steps)),)


def polytope_stage(device: str = "cpu") -> Stage:
    """For claims that ``around_pattern`` has stated over a polytope."""
    return Stage(PolytopeSplitEngine(device), 0.8)


def search_stages(problem: Problem, device: str = "cpu") -> tuple[Stage, ...]:
    """Engines for searches that attack their claims themselves and ask many of moderate size:
    complete ones too, but none that starts a process."""
    bisection = InputSplitEngine(device)
    few = (Stage(bisection, 0.6),) if bisection.unsupported(problem) is None else ()
    short = Stage(ReluSplitEngine(device, leaf=_leaf), 0.1)
    many = () if few else (short, Stage(LpSplitEngine(device, free=MORE), 0.85))
    return (
        Stage(BoundsEngine(device, steps=0)),
        Stage(_LINEAR, 0.3),
        Stage(HighsEngine(known_bounds, milp_neurons=40), 0.4),
        *few,
        Stage(Z3Engine(products=2_000, free=12), 0.5),
        *many,
        Stage(ReluSplitEngine(device, leaf=_leaf)),
    )


def whole_stages(device: str = "cpu") -> tuple[Stage, ...]:
    """Engines for whole networks with many inputs, where one linear program may take longer than
    a search with cheap subdomains; all can say how they closed what they did."""
    return (
        Stage(BoundsEngine(device, steps=0)),
        Stage(LpSplitEngine(device), 0.9),
        Stage(ReluSplitEngine(device, leaf=_leaf)),
    )


def box_stages(problem: Problem, device: str = "cpu") -> tuple[Stage, ...]:
    """For searches that attack their claims themselves and ask about many boxes without a
    pattern; all can say how they closed what they did."""
    bisection = InputSplitEngine(device)
    few = (Stage(bisection, 0.6),) if bisection.unsupported(problem) is None else ()
    return (
        Stage(BoundsEngine(device, steps=0)),
        Stage(LpSplitEngine(device, free=FEW), 0.6 if few else 0.9),
        *few,
        Stage(ReluSplitEngine(device, leaf=_leaf)),
    )


def line_stages(line: Line, device: str = "cpu") -> tuple[Stage, ...]:
    """The engines of one kind, for a second proof that leans on nothing the first did."""
    every = (
        Stage(BoundsEngine(device, steps=0)),
        Stage(BoundsEngine(device, steps=60, name="bounds-optimised"), 0.2),
        Stage(InputSplitEngine(device), 0.6),
        Stage(ReluSplitEngine(device)),
        Stage(_LINEAR, 0.3),
        Stage(LpSplitEngine(device), 0.4),
        Stage(TightenSplitEngine(_LINEAR, device, name="tighten-lp"), 0.4),
        Stage(Z3Engine(products=20_000, free=20), 0.3),
        Stage(HighsEngine(known_bounds, milp_neurons=200), 0.6),
        Stage(_MARABOU),
    )
    return tuple(stage for stage in every if stage.engine.lines == {line})


def known_bounds(problem: Problem, deadline: Deadline = FOREVER) -> Bounds:
    """The layer bounds that are known already, or those of interval arithmetic."""
    return interval_bounds(problem, deadline) if problem.bounds is None else problem.bounds


def _leaf(problem: Problem, deadline: Deadline) -> Answer:
    return _LINEAR.solve(problem, deadline)[0]


_LINEAR = HighsEngine(known_bounds, milp_neurons=0)
_MARABOU = MarabouEngine()  # one child process, started when first needed
