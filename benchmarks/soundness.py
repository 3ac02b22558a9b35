"""How often a verdict is wrong: random small networks against exact rational truth.

Each claim (a network, a box, perhaps some literals, a linear property) is decided over the
reals by z3, whose ``Real`` arithmetic is exact: weights and bounds enter as fractions and an
activation as ``If``.  A property's limit is a value the network takes (exactly, in
fractions), moved by a little or by a lot; ``edge`` claims are those moved by less than 1e-6
of the output's size, where an unsound rounding would show.

The table counts, per family of networks and per engine, verdicts that contradict the truth
(``wrong``; answers by one float solver that do so are ``unconfirmed``), and the share of
claims decided.  Exit status 1 if a verdict was wrong.

    python benchmarks/soundness.py --count 3000 --out soundness.json
    python benchmarks/soundness.py --extreme --exact --each 0.5 --budget 1 --count 2000
    python benchmarks/soundness.py --known --exact --each 0.5 --budget 1 --count 2000

``--extreme`` (``soundness_extremes``) are claims at the edges of float64, ``--known``
(``soundness_known``) those whose truth z3 does not know: constants that no float holds, last
activations.  ``--exact`` asks ``prove`` with certificates as well, and about float32: what is
proved of that is attacked by runs in many orders of sums.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import z3
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "proof"))
from float_runs import Runner
from soundness_extremes import extreme_claim
from soundness_known import known_claim

from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
)
from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.claim import Claim, Conjunct
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Engine, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.polytope import PolytopeSplitEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.restate.closed_pattern import around_pattern
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
KINDS = ("mlp", "leaky", "residual", "conv", "pool")
SCALES = ("normal", "rows", "small", "ties", "narrow")
EACH = 2.0  # seconds for an engine
BUDGET = 10.0  # seconds for prove
EXACT = "prove, exact"
FLOATS = "prove, float32"
POLYTOPE = "polytope-split"  # is asked about the claim that ``around_pattern`` makes
TRUTH_MS = 60_000  # for one question to z3
COLUMNS = (
    "decided",
    "undecided",
    "wrong",
    "unconfirmed wrong",
    "witness fails",
    "weak",
    "refused",
    "in floats",
    "raised",
)


@dataclass(frozen=True)
class Case:
    """One claim, its family, and whether its limit is within rounding of the truth."""

    seed: int
    family: str
    edge: bool
    claim: Claim
    expected: Status | None = None  # where the family has a truth of its own


def engines(marabou: bool) -> dict[str, Engine]:
    """The engines under test by the name the table gives them."""
    linear = HighsEngine(milp_neurons=0)
    found: dict[str, Engine] = {
        "bounds": BoundsEngine(steps=0),
        "bounds-optimised": BoundsEngine(steps=30, name="bounds-optimised"),
        "input-split": InputSplitEngine(),
        "relu-split": ReluSplitEngine(leaf=lambda p, d: linear.solve(p, d)[0]),
        "highs-lp": linear,
        "lp-split": LpSplitEngine(),
        "tighten-split": TightenSplitEngine(linear),
        "highs-milp": HighsEngine(milp_neurons=30),
        "z3": Z3Engine(),
        POLYTOPE: PolytopeSplitEngine(),
    }
    if marabou:
        found["marabou"] = MarabouEngine()
    return found


def _numbers(rng: np.random.Generator, scale: str, shape: tuple[int, ...]) -> Array:
    if scale == "ties":
        return rng.integers(-2, 3, size=shape).astype(np.float64)
    values = rng.normal(size=shape)
    if scale == "small":
        values = values * 1e-3
    return values.astype(np.float32).astype(np.float64) if rng.random() < 0.5 else values


def _layer(rng: np.random.Generator, scale: str, *shape: int) -> tuple[Array, Array]:
    """A weight of that shape and a bias; with ``rows`` each row has its own size."""
    weight, bias = _numbers(rng, scale, shape), _numbers(rng, scale, shape[:1])
    if scale == "rows":
        sizes = 10.0 ** rng.uniform(-3, 3, size=shape[0])
        weight = weight * sizes.reshape(-1, *[1] * (len(shape) - 1))
        bias = bias * sizes
    return weight, bias


def random_network(rng: np.random.Generator, kind: str, scale: str) -> Network:
    """A network of 4 to 10 neurons in two decision layers and 2 outputs."""

    def affine(name: str, m: int, n: int, source: str) -> Node:
        return Node(name, Affine(*_layer(rng, scale, m, n)), (source,))

    first, second = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    if kind in ("mlp", "leaky"):
        slope = float(rng.choice([0.01, 0.1, 0.3]))
        act = LeakyReLU(slope) if kind == "leaky" else ReLU()
        n = int(rng.integers(1, 4))
        return Network(
            (
                affine("z0", first, n, INPUT),
                Node("a0", act, ("z0",)),
                affine("z1", second, first, "a0"),
                Node("a1", act, ("z1",)),
                affine("y", 2, second, "a1"),
            ),
            (n,),
        )
    if kind == "residual":
        return Network(
            (
                affine("z0", first, 2, INPUT),
                Node("a0", ReLU(), ("z0",)),
                affine("z1", first, first, "a0"),
                Node("sum", Add((1.0, float(rng.choice([1.0, -0.5])))), ("z1", "z0")),
                Node("a1", ReLU(), ("sum",)),
                Node("skip", Add((1.0, 1.0)), ("a1", "a0")),
                affine("y", 2, first, "skip"),
            ),
            (2,),
        )
    channels = 2 if kind == "conv" else 1
    pads = (1, 0, 0, 1) if rng.random() < 0.5 else (0, 0, 0, 0)
    conv = Conv2d(*_layer(rng, scale, channels, 1, 2, 2), padding=pads)
    if kind == "conv":
        nodes = [Node("z0", conv, (INPUT,)), Node("a0", ReLU(), ("z0",))]
        width = channels * (3 if any(pads) else 2) ** 2
        nodes.append(Node("flat", Reshape((width,)), ("a0",)))
    else:
        conv = Conv2d(conv.weight, conv.bias)
        # (1, 3, 3) → (1, 2, 2); an overlapping pool with padding leaves (1, 2, 2)
        nodes = [
            Node("z0", conv, (INPUT,)),
            Node("a0", ReLU(), ("z0",)),
            Node("pool", MaxPool2d((2, 2), (1, 1), (1, 1, 0, 0)), ("a0",)),
        ]
        width = 4
        nodes.append(Node("flat", Reshape((width,)), ("pool",)))
    nodes += [
        affine("z1", 2, width, "flat"),
        Node("a1", ReLU(), ("z1",)),
        affine("y", 2, 2, "a1"),
    ]
    return Network(tuple(nodes), (1, 3, 3))


def random_case(seed: int) -> Case:
    """The claim of one seed."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    scale = SCALES[(seed // len(KINDS)) % len(SCALES)]
    network = random_network(rng, kind, scale)
    size = network.input_size
    if scale == "narrow":
        centre = rng.normal(size=size)
        box = Box(centre - 0.5e-7, centre + 0.5e-7)
    elif scale == "ties":
        box = Box.uniform(size, -1.0, float(rng.integers(0, 2)))
    else:
        box = Box.uniform(size, -1.0, 1.0)
    if size > 4:  # most inputs fixed, so that the truth is found soon
        fixed = rng.permutation(size)[: size - int(rng.integers(2, 4))]
        lower, upper = box.lower.copy(), box.upper.copy()
        value = rng.integers(-1, 2, size=size) if scale == "ties" else box.sample(1, rng)[0]
        lower[fixed] = upper[fixed] = np.clip(value, box.lower, box.upper)[fixed]
        box = Box(lower, upper)
    pattern = _pattern(rng, network, box)
    prop, edge = _property(rng, network, box)
    return Case(seed, f"{kind}/{scale}", edge, Claim(network, box, pattern, prop))


def extreme_case(seed: int) -> Case:
    """The claim of one seed at the edges of float64."""
    family, claim = extreme_claim(seed)
    return Case(seed, family, False, claim)


def known_case(seed: int) -> Case:
    """The claim of one seed whose truth z3 does not know."""
    family, claim, expected = known_claim(seed)
    return Case(seed, family, False, claim, expected)


def _pattern(rng: np.random.Generator, network: Network, box: Box) -> DecisionPattern:
    """Some literals, most of them satisfied by one point of the box."""
    if rng.random() < 0.4:
        return DecisionPattern()
    values = exact_values(network, box.sample(1, rng)[0])
    on, off = set(), set()
    for layer in network.decision_layers:
        for index, z in enumerate(values[network.pre_activation(layer)].fractions()):
            if rng.random() < 0.4:
                held = z > 0 if rng.random() < 0.9 else z <= 0
                (on if held else off).add((layer, index))
    return DecisionPattern(frozenset(on), frozenset(off))


def _property(rng: np.random.Generator, network: Network, box: Box) -> tuple[Property, bool]:
    """``c·y ≥ limit`` (or >, or two of them) near a value taken at some point."""
    corners = np.where(rng.random((16, box.size)) < 0.5, box.lower, box.upper)
    points = np.concatenate([corners, box.sample(16, rng)])
    chosen = [(0, 1.0)] if rng.random() < 0.5 else [(0, 1.0), (1, -1.0)]
    found = []
    for x in points:
        y = exact_values(network, x)[network.output].fractions()
        found.append(float(sum(Fraction(v) * y[i] for i, v in chosen)))
    low, high = min(found), max(found)
    size = max(high - low, abs(low) * 1e-3, 1e-300)
    edge = bool(rng.random() < 0.25)
    step = rng.choice([0.0, 1e-16, 1e-14, 1e-12, 1e-9] if edge else [1e-3, 0.03, 0.1, 0.3, 1.0])
    limit = low + float(rng.choice([-1.0, -1.0, 1.0])) * step * size
    inequality = Inequality(tuple(chosen), limit, strict=bool(rng.random() < 0.5))
    clauses: tuple[tuple[Inequality, ...], ...] = ((inequality,),)
    if rng.random() < 0.2:
        clauses = (
            (inequality, Inequality(((1, 1.0),), 0.0)),
            (Inequality(((0, -1.0), (1, 0.5)), low - size),),
        )
    return Property(clauses), edge


def symbolic(network: Network, x: list[Any]) -> dict[str, list[Any]]:
    """Every node's values as z3 terms of the inputs ``x``; no rounding anywhere."""
    ops = operators(network, "cpu", torch.float64)
    values: dict[str, list[Any]] = {INPUT: x}
    for node in network.nodes:
        sources = [values[s] for s in node.inputs]
        match node.layer:
            case ReLU():
                values[node.name] = [z3.If(z > 0, z, _real(0.0)) for z in sources[0]]
            case LeakyReLU(slope):
                values[node.name] = [z3.If(z > 0, z, _real(slope) * z) for z in sources[0]]
            case MaxPool2d():
                windows = node.layer.windows(network.shapes[node.inputs[0]])
                values[node.name] = [
                    _largest([sources[0][w] for w in m if w >= 0]) for m in windows
                ]
            case Add(coefficients):
                values[node.name] = [
                    z3.Sum([_real(c) * z for c, z in zip(coefficients, parts, strict=True)])
                    for parts in zip(*sources, strict=True)
                ]
            case _:
                # One identity column at a time: every entry is one weight, exactly.
                shape = network.shapes[node.inputs[0]]
                eye = torch.eye(len(sources[0]), dtype=torch.float64).reshape(-1, *shape)
                operator = ops.affine[node.name]
                matrix = operator.apply([eye], bias=False).flatten(1).T.numpy()
                bias = operator.apply([torch.zeros(1, *shape, dtype=torch.float64)]).flatten()
                values[node.name] = [
                    z3.Sum(
                        [_real(row[i]) * sources[0][i] for i in np.flatnonzero(row)] + [_real(b)]
                    )
                    for row, b in zip(matrix, bias.numpy(), strict=True)
                ]
    return values


def _real(value: float) -> Any:
    exact = Fraction(float(value))
    return z3.Q(exact.numerator, exact.denominator)


def _largest(terms: list[Any]) -> Any:
    result = terms[0]
    for term in terms[1:]:
        result = z3.If(term > result, term, result)
    return result


class Truth:
    """z3's answers about one claim: True, False, or None where it ran out of time."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        network, problem = claim.network, claim.problem
        x = [z3.Real(f"x{i}") for i in range(network.input_size)]
        self.solver = z3.SolverFor("QF_LRA")
        self.solver.set("timeout", TRUTH_MS)
        for i, variable in enumerate(x):
            self.solver.add(variable >= _real(problem.box.lower[i]))
            self.solver.add(variable <= _real(problem.box.upper[i]))
        values = symbolic(network, x)
        if problem.halfspaces is not None:
            half = problem.halfspaces
            for row, limit in zip(half.matrix, half.bound, strict=True):
                total = z3.Sum([_real(c) * v for c, v in zip(row, x, strict=True)])
                self.solver.add(total <= _real(limit))
        for layer, (low, high) in problem.intervals.items():
            z = values[network.pre_activation(layer)]
            for i in np.flatnonzero(np.isfinite(low)):
                self.solver.add(z[i] >= _real(low[i]))
            for i in np.flatnonzero(np.isfinite(high)):
                self.solver.add(z[i] <= _real(high[i]))
        self.x, self.y = x, values[network.output]

    def region(self) -> bool | None:
        """Whether the region has a point."""
        return self._check([])

    def feasible(self, conjunct: Conjunct) -> bool | None:
        """Whether the conjunct holds somewhere in the region."""
        terms = []
        for inequality in conjunct:
            parts = [_real(v) * self.y[i] for i, v in inequality.outputs]
            parts += [_real(v) * self.x[i] for i, v in inequality.inputs]
            total, limit = z3.Sum([*parts, _real(0.0)]), _real(inequality.bound)
            terms.append(total > limit if inequality.strict else total >= limit)
        return self._check(terms)

    def _check(self, terms: list[Any]) -> bool | None:
        answer = self.solver.check(*terms) if terms else self.solver.check()
        return None if answer == z3.unknown else bool(answer == z3.sat)


@dataclass
class Tally:
    """Counts per (family, engine)."""

    counts: Counter[tuple[str, str, str]]
    seconds: Counter[str]
    wrong: list[dict[str, Any]]
    latest: Counter[str] = field(default_factory=Counter)  # seconds past the budget, at most

    def raised(self, case: Case, who: str, error: Exception) -> None:
        self.add(case, who, "raised")
        print(f"RAISED seed {case.seed} {case.family} {who}: {type(error).__name__}: {error}"[:300])

    def add(self, case: Case, who: str, kind: str) -> None:
        self.counts[case.family, who, kind] += 1
        if case.edge:
            self.counts["edge", who, kind] += 1

    def report(self, case: Case, who: str, said: str, truth: str) -> None:
        entry = {"seed": case.seed, "family": case.family, "engine": who, "said": said}
        self.wrong.append({**entry, "truth": truth})
        print(f"WRONG seed {case.seed} {case.family} {who}: {said}, in truth {truth}", flush=True)


def run_case(
    case: Case,
    tested: dict[str, Engine],
    tally: Tally,
    *,
    each: float = EACH,
    budget: float = BUDGET,
    exact: bool = False,
) -> None:
    """Put one claim to every engine and to ``prove`` (``exact``: to that too, and about float32);
    count what they say, and what they raise."""
    known = _truth(case)
    if known is None:
        tally.add(case, "truth", "unknown")
        return
    tally.add(case, "truth", "known")
    feasible, expected = known
    if case.claim.network.output_activation is OutputActivation.NONE:
        for name, engine in tested.items():
            _ask_engine(case, name, engine, feasible, tally, each)
    asked = {"prove": {}, EXACT: {"exact": True}, FLOATS: {"execution": Arithmetic.FLOAT32}}
    for who in asked if exact else ("prove",):
        begun = time.monotonic()
        try:
            verdict = prove(case.claim, budget=budget, **asked[who])  # type: ignore[arg-type]
        except QueryError as error:
            if "last" not in str(error) and "ends in" not in str(error):
                tally.raised(case, who, error)
            tally.add(case, who, "refused")
            continue
        except Exception as error:
            tally.raised(case, who, error)
            continue
        spent = time.monotonic() - begun
        tally.seconds[who] += spent
        tally.latest[who] = max(tally.latest[who], spent - budget)
        _judge(case, who, verdict, expected, tally)
        if Arithmetic.FLOAT32 in verdict.holds_in:
            tally.add(case, who, "in floats")
            if broken_in_floats(case.claim, np.random.default_rng(case.seed)):
                tally.add(case, who, "wrong")
                tally.report(case, who, "proved for float32", "a run violates it")


def _truth(case: Case) -> tuple[list[bool], Status] | None:
    """Which conjuncts hold somewhere, and the status; None where that is not found."""
    if case.expected is not None:
        return [case.expected is Status.REFUTED], case.expected
    truth = Truth(case.claim)
    feasible = [truth.feasible(c) for c in case.claim.problem.conjuncts]
    nonempty = truth.region()
    if nonempty is None or None in feasible:
        return None
    if not nonempty:
        return [False] * len(feasible), Status.VACUOUS
    return [bool(f) for f in feasible], Status.REFUTED if any(feasible) else Status.PROVED


def _ask_engine(
    case: Case, name: str, engine: Engine, feasible: list[bool], tally: Tally, each: float
) -> None:
    """One engine's answers to one claim."""
    deadline = Deadline.after(each)
    claim = case.claim
    try:
        if name == POLYTOPE and beyond_floats(claim.problem) is None:
            claim = around_pattern(claim, deadline).claim
        if engine.unsupported(claim.problem) is not None:
            return
        begun = time.monotonic()
        answers = engine.solve(claim.problem, deadline)
    except Exception as error:  # counted, since a claim must not raise
        tally.raised(case, name, error)
        return
    tally.seconds[name] += time.monotonic() - begun
    decided = False
    for answer, sat in zip(answers, feasible, strict=True):
        if answer.outcome is Outcome.INFEASIBLE and sat:
            if answer.rigorous:
                tally.report(case, name, "infeasible", "feasible")
            tally.add(case, name, "wrong" if answer.rigorous else "unconfirmed wrong")
        if answer.outcome is Outcome.WITNESS:
            assert answer.witness is not None
            counts = replay(case.claim, answer.witness).counts
            tally.add(case, name, "witness" if counts else "witness fails")
            decided = decided or counts
    if not any(feasible):
        decided = all(a.outcome is Outcome.INFEASIBLE for a in answers)
    tally.add(case, name, "decided" if decided else "undecided")


def broken_in_floats(claim: Claim, rng: np.random.Generator) -> bool:
    """Whether a search over float32 inputs and orders of sums finds a run without the property,
    by more than its evaluation rounds."""
    if claim.halfspaces is not None or claim.pattern.above or claim.pattern.below:
        return False
    runner = Runner(claim.network, claim.pattern)
    for clause in claim.property.clauses:
        if len(clause) > 1 or clause[0].inputs:
            continue
        factor = max(abs(v) for _, v in clause[0].outputs)
        form = np.zeros(claim.network.output_size)
        for index, value in clause[0].outputs:
            form[index] = value / factor
        least, _ = runner.worst(claim.box, form, rng, starts=2, steps=8)
        limit = clause[0].bound / factor
        if least < limit - 1e-14 * abs(limit):
            return True
    return False


def _judge(case: Case, who: str, verdict: Verdict, expected: Status, tally: Tally) -> None:
    """Count a verdict of ``prove``."""
    if verdict.status is Status.UNKNOWN:
        tally.add(case, who, "undecided")
        return
    tally.add(case, who, "decided")
    # A claim about nothing is true: PROVED is then weak, not wrong.
    weak = verdict.status is Status.PROVED and expected is Status.VACUOUS
    contradictory = verdict.status is Status.VACUOUS and case.claim.pattern.is_contradictory
    if weak:
        tally.add(case, who, "weak")
    elif verdict.status is not expected and not contradictory:
        tally.add(case, who, "wrong" if verdict.confirmed else "unconfirmed wrong")
        tally.report(case, who, verdict.status.value, expected.value)
    if verdict.status is Status.PROVED and not verdict.confirmed:
        tally.add(case, who, "unconfirmed")


def table(tally: Tally) -> list[dict[str, Any]]:
    """One row per group and engine; the groups are the families, edge claims, and all."""
    families = sorted({family for family, _, _ in tally.counts} - {"edge"})
    names = list(dict.fromkeys(who for _, who, _ in tally.counts if who != "truth"))
    total = Counter(tally.counts)
    for (family, who, kind), count in tally.counts.items():
        if family != "edge":
            total["all", who, kind] += count
    for (family, who, kind), count in tally.counts.items():
        if family == "edge":
            total["all but edge", who, kind] -= count
        else:
            total["all but edge", who, kind] += count
    rows = []
    for family in [*families, "edge", "all but edge", "all"]:
        for who in names:
            row = {kind: total[family, who, kind] for kind in COLUMNS}
            if row["decided"] + row["undecided"]:
                rows.append({"family": family, "engine": who, **row})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """``prove`` for every family, every engine for the totals."""
    columns = ("family", "engine", *COLUMNS)
    print("  ".join(f"{c:>17}" for c in columns))
    for row in rows:
        if row["engine"] == "prove" or "/" not in row["family"]:
            print("  ".join(f"{row[c]!s:>17}" for c in columns))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--marabou", action="store_true", help="test Marabou on its own as well")
    parser.add_argument("--extreme", action="store_true", help="sizes of 1e-310 to 1e300, depth 12")
    parser.add_argument(
        "--known", action="store_true", help="constants that no float holds, last activations"
    )
    parser.add_argument("--exact", action="store_true", help="ask prove(exact=True) as well")
    parser.add_argument("--each", type=float, default=EACH, help="seconds for an engine")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for prove")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    tested = engines(options.marabou)
    tally = Tally(Counter(), Counter(), [])
    for seed in range(options.seed, options.seed + options.count):
        kind = extreme_case if options.extreme else known_case if options.known else random_case
        case = kind(seed)
        limits = {"each": options.each, "budget": options.budget}
        run_case(case, tested, tally, exact=options.exact, **limits)
        done = seed - options.seed + 1
        if done % 100 == 0:
            print(f"{done} claims, {len(tally.wrong)} wrong", flush=True)
    rows = table(tally)
    show(rows)
    unknown = sum(n for (f, w, k), n in tally.counts.items() if (w, k) == ("truth", "unknown"))
    seconds = {who: round(spent, 1) for who, spent in tally.seconds.items()}
    print(f"truth unknown: {unknown}; seconds: {seconds}")
    late = {who: round(most, 2) for who, most in tally.latest.items()}
    print(f"past the budget, at most: {late}")
    if options.out is not None:
        content = {
            "count": options.count,
            "seed": options.seed,
            "truth_unknown": unknown,
            "seconds": seconds,
            "wrong": tally.wrong,
            "rows": rows,
        }
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
