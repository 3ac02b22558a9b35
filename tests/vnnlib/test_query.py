"""VNN-LIB: texts with answers worked out by hand, a naive evaluator as oracle, broken texts."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clocks import calls

from precond.errors import PrecondError, QueryError
from precond.network.activation import OutputActivation
from precond.network.exact import exact_values
from precond.network.graph import Network
from precond.network.interface import NamedTensor
from precond.network.layers import Affine, Node, ReLU
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.vnnlib.formula import UnsupportedQuery
from precond.vnnlib.query import Query
from precond.vnnlib.read import parse_vnnlib, read_vnnlib
from precond.vnnlib.rounding import down, into, scale_of, up, weakened

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def net(inputs: int = 2, outputs: int = 2, **options: Any) -> Network:
    """y = W₂ relu(x + 1) with W₂ = 1, 2, 3, … row by row."""
    weight = np.arange(1.0, 1 + outputs * inputs).reshape(outputs, inputs)
    nodes = (
        Node("fc", Affine(np.eye(inputs), np.ones(inputs)), ("input",)),
        Node("relu", ReLU(), ("fc",)),
        Node("out", Affine(weight, np.zeros(outputs)), ("relu",)),
    )
    names = {"a": "fc", "b": "relu", "c": "out", "x": "input"}
    return Network(nodes, (inputs,), tensor_names=names, **options)


HEAD = "".join(f"(declare-const {n} Real)" for n in ("X_0", "X_1", "Y_0", "Y_1"))
UNIT = "(assert (and (<= 0 X_0 1) (>= X_1 -0.5) (<= X_1 0.5)))"


def v1(body: str, box: str = UNIT) -> Query:
    return parse_vnnlib(f"{HEAD}\n{box}\n{body}", net())


def clauses(query: Query) -> list[list[str]]:
    return [[str(i) for i in clause] for c in query.claims for clause in c.property.clauses]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # A violation Y_0 ≤ Y_1 is closed, so the property is the strict Y_0 > Y_1.
        ("(assert (<= Y_0 Y_1))", [["y0 - y1 > 0"]]),
        ("(assert (< Y_0 Y_1))", [["y0 - y1 ≥ 0"]]),
        ("(assert (>= Y_0 2.5))", [["- y0 > -2.5"]]),
        ("(assert (> 2.5e0 Y_0))", [["y0 ≥ 2.5"]]),
        ("(assert (= Y_1 1/4))", [["y1 > 0.25", "- y1 > -0.25"]]),
        ("(assert (<= Y_0 0))(assert (<= Y_1 0))", [["y0 > 0", "y1 > 0"]]),
        ("(assert (or (<= Y_0 0) (<= Y_1 0)))", [["y0 > 0"], ["y1 > 0"]]),
        (
            "(assert (or (<= Y_0 0) (and (<= Y_1 0) (>= Y_0 8))))",
            [["y0 > 0"], ["y1 > 0", "- y0 > -8"]],
        ),
        ("(assert (<= (+ Y_0 (* 2 Y_1) (- X_0) 3) (/ Y_1 2)))", [["y0 + 1.5 y1 - x0 > -3"]]),
        ("(assert (<= (- 1 Y_0 Y_1) (* 2 3 -1)))", [["- y0 - y1 > -7"]]),
        ("(assert (<= (- Y_0 Y_0) (- 1)))", []),  # 0 ≤ −1: never
        ("(assert (<= 0 1))", [["0 > 0"]]),  # every input of the box is a violation
        ("(assert (or))", []),
        ("(assert false)", []),
        ("(assert true)(assert (<= Y_0 0))", [["y0 > 0"]]),
        # 0.1 is no float, 1 and 2 are: the inequality is scaled (by 10/8, to stay near 1).
        ("(assert (<= (* 0.1 Y_0) (* 0.2 Y_1)))", [["0.125 y0 - 0.25 y1 > 0"]]),
    ],
)
def test_outputs(body: str, expected: list[list[str]]) -> None:
    assert clauses(v1(body)) == expected


def test_box_and_half_spaces() -> None:
    query = v1("(assert (<= (+ X_0 (* 2 X_1)) 1.5))(assert (<= Y_0 0))")
    (claim,) = query.claims
    assert claim.box.lower.tolist() == [0.0, -0.5]
    assert claim.box.upper.tolist() == [1.0, 0.5]
    assert claim.halfspaces is not None
    assert claim.halfspaces.matrix.tolist() == [[1.0, 2.0]]
    assert claim.halfspaces.bound.tolist() == [1.5]


def test_one_claim_per_region() -> None:
    query = v1(
        "(assert (or (and (>= X_0 0.5) (<= Y_0 0)) (and (<= X_0 0.25) (<= Y_0 1))"
        " (and (<= Y_1 2) (>= X_0 0.5)) (and (>= X_0 -3) (<= Y_1 7))))"
    )
    found = [
        (c.box.lower[0], c.box.upper[0], [str(x) for (x,) in c.property.clauses])
        for c in query.claims
    ]
    assert found == [
        (0.5, 1.0, ["y0 > 0", "y1 > 2"]),
        (0.0, 0.25, ["y0 > 1"]),
        (0.0, 1.0, ["y1 > 7"]),
    ]


def test_empty_regions_are_dropped() -> None:
    query = v1("(assert (or (and (>= X_0 2) (<= Y_0 0)) (<= Y_1 0)))")
    assert len(query.claims) == 1
    assert query.notes == ("1 empty input regions were dropped",)
    assert v1("(assert (> X_0 1))").claims == ()  # X_0 ≤ 1 and X_0 > 1


def test_bounds_are_rounded_outward() -> None:
    query = v1("(assert (<= Y_0 0.1))", "(assert (and (= X_0 0.1) (<= -0.3 X_1 0.7)))")
    (claim,) = query.claims
    low, high = claim.box.lower, claim.box.upper
    for decimal, index in (("0.1", 0), ("-0.3", 1)):
        assert Fraction(low[index]) < Fraction(decimal) < Fraction(np.nextafter(low[index], 1))
    for decimal, index in (("0.1", 0), ("0.7", 1)):
        assert Fraction(high[index]) >= Fraction(decimal) > Fraction(np.nextafter(high[index], -1))
    ((clause,),) = claim.property.clauses
    assert clause.strict
    assert Fraction(clause.bound) >= Fraction("0.1")  # more violations, never fewer
    # The float nearest to 0.1 lies above it and the one before below: [0.1, 0.1] holds none, so
    # the nearest is taken.  The float nearest to 0.7 lies below it, so inside.
    assert query.snap(0, [5.0, 0.9]).tolist() == [0.1, 0.7]


def test_accepts_is_exact() -> None:
    query = v1("(assert (<= Y_0 0.1))")
    assert query.accepts([0.0, 0.0], [Fraction(1, 10), 0])
    assert not query.accepts([0.0, 0.0], [0.1, 0])  # the float 0.1 is above 1/10
    assert not query.accepts([1.0000000001, 0.0], [0, 0])


def test_admits_uses_the_real_valued_network() -> None:
    # y0 = 1·relu(x0 + 1) + 2·relu(x1 + 1); at (0, 0.25) it is 3.5.
    query = v1("(assert (>= Y_0 3.5))")
    assert query.admits([0.0, 0.25])
    assert not query.admits([0.0, np.nextafter(0.25, 0.0)])
    assert not query.admits([-0.1, 0.5])
    assert not query.admits([np.nan, 0.5])


def test_a_decimal_between_two_floats_is_met_by_the_nearest() -> None:
    query = v1("(assert (= X_0 0.1))(assert (>= Y_0 3.1))")
    assert query.admits([0.1, 0.25])  # 1.1 + 2.5
    assert not query.admits([0.1, -0.25])
    assert not query.admits([np.nextafter(0.1, 0.0), 0.25])
    assert not query.admits([0.5, 0.25])
    # 0.1's nearest float lies above it; where other floats are inside, it is outside
    assert not v1("(assert (<= X_0 0.1))(assert (>= Y_0 3.1))").admits([0.1, 0.25])


def test_bounds_follow_from_linear_constraints() -> None:
    query = v1("(assert (= X_0 (* 2 X_1)))(assert (<= Y_0 0))", "(assert (<= 0 X_1 0.5))")
    assert query.claims[0].box.upper.tolist() == [1.0, 0.5]
    assert query.claims[0].box.lower.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("(assert (<= (* X_0 Y_0) 1))", r"line 3: product: expected at most one factor .*X_0 Y_0"),
        ("(assert (<= Y_7 1))", r"line 3: term: expected a declared variable .* got 'Y_7'"),
        ("\n(assert (<= Z 1))", r"line 4: term: .* got 'Z'"),
        ("(assert (<= Y_0 1)", r"line 3: '\(' is never closed"),
        ("(assert (<= Y_0 1)))", r"line 3: parentheses: expected '\(', got '\)'"),
        ("(assert (<= Y_0))", r"line 3: '<=': expected two sides"),
        ("(assert (!! Y_0 1))", r"line 3: formula: .* got '!!'"),
        ("(assert (not (<= Y_0 1)))", r"line 3: formula: .* got 'not'"),
        ("(assert (<= (/ 1 Y_0) 1))", r"line 3: quotient: expected a constant divisor"),
        ("(assert (<= (/ Y_0 0) 1))", r"line 3: quotient: expected a divisor ≠ 0"),
        ("(assert (<= Y_0 1/0))", r"line 3: number: expected a denominator"),
        ("(assert (<= Y_0 1e999999999))", r"line 3: number: expected at most 400 digits"),
        ("(assert (<= Y_0 1e399))", r"number of the query: .* got about 1e399"),
        ("(assert (<= Y_0 1.2.3))", r"line 3: term: .* got '1.2.3'"),
        ("(assert Y_0)", r"line 3: formula: expected '\(', got 'Y_0'"),
        ("(assert)", r"line 3: assert: expected one formula"),
        ("(maximise Y_0)", r"line 3: command: .* got 'maximise'"),
        ("hello", r"line 3: command: expected '\(', got 'hello'"),
        ("(declare-const X_0 Real)", r"line 3: variable: expected a new name, got X_0 again"),
        ("(declare-const X_2 Real)", r"X_2: expected one of the network's 2 inputs, got index 2"),
        ("(declare-const Q Real)", r"variable: expected X_i for an input .* got 'Q'"),
        ("(declare-const X_9 Int)", r"declare-const: expected a name and Real"),
        ("(declare-const X_00 Real)", r"variable: expected X_i for an input .* got 'X_00'"),
        ("(assert (<= Y_0 ٣))", r"line 3: term: .* got '٣'"),
        ("(check-sat)(assert (<= Y_0 1))", r"line 3: 'assert' after check-sat: expected one"),
        ("(check-sat)(exit)\n(declare-const X_1 Real)", r"line 4: 'declare-const' after exit"),
        ("()", r"line 3: expression: expected a command"),
        ("(" * 300, r"line 3: nesting: expected at most 200 levels"),
        ("(vnnlib-version <3.0>)", None),
    ],
)
def test_errors_name_line_and_token(body: str, match: str | None) -> None:
    if match is None:
        with pytest.raises(UnsupportedQuery, match=r"version: expected 1.0 or 2.0, got 3.0"):
            parse_vnnlib(body, net())
        return
    with pytest.raises(QueryError, match=match):
        v1(f"{body}")


def test_lines_are_counted_from_the_top() -> None:
    with pytest.raises(QueryError, match=r"query, line 3: term: .* got 'Z'"):
        parse_vnnlib(f"; a comment (\n{HEAD}\n(assert (<= Z 0)) ; )", net())


def test_missing_bounds_are_named() -> None:
    with pytest.raises(QueryError, match=r"got no lower bound of X_1"):
        v1("(assert (<= Y_0 0))", "(assert (<= 0 X_0 1))(assert (<= X_1 1))")


def test_wrong_network() -> None:
    text = f"{HEAD}{UNIT}(assert (<= Y_0 0))"
    with pytest.raises(QueryError, match=r"expected 3 declared inputs, got 2"):
        parse_vnnlib(text, net(3))
    with pytest.raises(QueryError, match=r"expected one, as the query is VNN-LIB 1.0, got f, g"):
        parse_vnnlib(text, {"f": net(), "g": net()})
    assert len(parse_vnnlib(text, {"f": net()}).claims) == 1


@pytest.mark.parametrize(
    "body",
    [
        lambda n: f"(assert (or {'(<= Y_0 0)' * n}))",
        lambda n: f"(assert (or {''.join(f'(<= (+ Y_0 {k}) Y_1)' for k in range(n))}))",
        lambda n: f"(assert (or {''.join(f'(and (<= X_0 0.{k}1) (<= Y_0 0))' for k in range(n))}))",
        lambda n: "".join(f"(assert (<= Y_0 {k}))" for k in range(n)),
        lambda n: f"(assert (<= (+ {'Y_0 ' * n}) 0))",
    ],
    ids=["same", "outputs", "regions", "assertions", "sum"],
)
def test_reading_takes_time_in_proportion(body: Callable[[int], str]) -> None:
    """Counted in calls: twice as many parts are no more than twice the work."""
    small, large = body(300), body(600)
    v1(small)  # numbers once read are remembered
    v1(large)
    assert calls(lambda: v1(large)) < 2.2 * calls(lambda: v1(small))


def test_normal_form_is_capped() -> None:
    body = "(assert (or (<= Y_0 0) (<= Y_1 0)))" * 40
    with pytest.raises(QueryError, match=r"at most 100000 conjunctions, got about 10\^12"):
        v1(body)


def test_files(tmp_path: Path) -> None:
    text = f"{HEAD}{UNIT}(assert (<= Y_0 0))"
    packed = tmp_path / "q.vnnlib.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert len(read_vnnlib(packed, net()).claims) == 1
    with pytest.raises(QueryError, match=r"expected a readable text file"):
        read_vnnlib(tmp_path / "none.vnnlib", net())
    (tmp_path / "bad.vnnlib").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(QueryError, match=r"expected a readable text file"):
        read_vnnlib(tmp_path / "bad.vnnlib", net())


def test_a_last_softmax_of_two_outputs_keeps_comparisons_and_thresholds() -> None:
    network = net(output_activation=OutputActivation.SOFTMAX)
    text = f"{HEAD}{UNIT}"
    query = parse_vnnlib(f"{text}(assert (<= Y_0 Y_1))", network)
    assert query.network is network.logits
    assert "claims are about the logits, before the last softmax" in query.notes
    values = query.assignment([0.0, 0.0])  # logits 3 and 7
    assert values["Y_1"] == pytest.approx(1 / (1 + np.exp(-4.0)))
    # y1 >= 0.75 is z1 - z0 >= log 3, no rational: wider in the claim, narrower in accepts.
    query = parse_vnnlib(f"{text}(assert (>= Y_1 0.75))", network)
    ((inequality,),) = query.claims[0].property.clauses
    assert inequality.outputs in (((0, 1.0), (1, -1.0)),)
    assert -np.nextafter(np.log(3), 2) <= inequality.bound <= -np.nextafter(np.log(3), 0)
    assert query.accepts([0, 0], [0, Fraction("1.0986122886681097")])
    assert not query.accepts([0, 0], [0, Fraction("1.0986122886681096")])
    half = parse_vnnlib(f"{text}(assert (>= Y_1 0.5))", network)
    assert half.accepts([0, 0], [3, 3])
    assert not half.claims[0].property.holds([[3.0, 3.0]])[0]
    assert parse_vnnlib(f"{text}(assert (>= Y_1 1))", network).claims == ()
    for body in ("(assert (<= Y_0 X_0))", "(assert (<= (+ Y_0 X_0) Y_1))"):
        with pytest.raises(UnsupportedQuery, match=r"ends in softmax.*--outputs logits"):
            parse_vnnlib(f"{text}{body}", network)
        parse_vnnlib(f"{text}{body}", network.logits)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("(assert (<= (- Y_0 Y_1) 3))", True),  # a difference of logits, whatever the bound
        ("(assert (<= (- Y_0 Y_1) X_0))", True),
        ("(assert (<= Y_0 -0.5))", True),  # logit exp -0.5 of two outputs
        ("(assert (<= (+ Y_0 Y_1) -3))", False),
        ("(assert (<= (- Y_0 (* 2 Y_1)) 0))", False),
    ],
)
def test_a_last_log_softmax_keeps_differences(body: str, kept: bool) -> None:
    network = net(output_activation=OutputActivation.LOG_SOFTMAX)
    if kept:
        assert parse_vnnlib(f"{HEAD}{UNIT}{body}", network).claims
        return
    with pytest.raises(UnsupportedQuery, match=r"ends in log_softmax"):
        parse_vnnlib(f"{HEAD}{UNIT}{body}", network)


# ---------------------------------------------------------------- rounding


def test_rounding_of_numbers() -> None:
    third = Fraction(1, 3)
    assert Fraction(down(third)) < third < Fraction(up(third))
    assert np.nextafter(down(third), 1) == up(third)
    assert down(Fraction(1, 2)) == up(Fraction(1, 2)) == 0.5
    assert scale_of([Fraction("0.3"), Fraction("-0.7")]) * Fraction("0.3") == Fraction(3, 8)
    assert into(Fraction("0.1"), Fraction("0.2"), 0.0, np.float32) == np.float32(0.1)
    assert into(Fraction(0), Fraction(1), 0.5, np.float64) == 0.5


def test_factors_beyond_float64_are_covered_by_corners() -> None:
    """Whatever satisfies the exact inequality satisfies one of the float ones."""
    rng = random.Random(1)
    outputs = [(i, Fraction(rng.randrange(-(10**25), 10**25), 10**24)) for i in range(3)]
    inputs = [(0, Fraction(rng.randrange(1, 10**25), 3 * 10**24))]
    corners = weakened(outputs, inputs, Fraction(1, 7), False, [Fraction(2)])
    assert len(corners) == 4
    found = 0
    for _ in range(300):
        x = Fraction(rng.uniform(-2, 2))
        y = [Fraction(rng.uniform(-1e6, 1e6)) for _ in range(3)]
        # y[2] moved onto the boundary, where only exact coverage helps
        rest = sum(f * y[i] for i, f in outputs[:2]) + inputs[0][1] * x
        y[2] = (Fraction(1, 7) - rest) / outputs[2][1]
        assert any(exactly(corner, [x], y) for corner in corners)
        found += not all(exactly(corner, [x], y) for corner in corners)
    assert found > 100  # one float inequality alone would not have been enough


def exactly(inequality: Inequality, x: list[Fraction], y: list[Fraction]) -> bool:
    total = sum((Fraction(v) * y[i] for i, v in inequality.outputs), Fraction(0))
    total += sum((Fraction(v) * x[i] for i, v in inequality.inputs), Fraction(0))
    return total > inequality.bound if inequality.strict else total >= inequality.bound


# ---------------------------------------------------------------- oracle


class Naive:
    """A random formula as text, evaluated by the definition of its words."""

    def __init__(self, seed: int, decimals: bool) -> None:
        self.rng = random.Random(seed)
        self.decimals = decimals
        self.tree = self.formula(3)

    def constant(self) -> str:
        if self.decimals:
            return f"{self.rng.uniform(-1, 1):.{self.rng.choice([1, 3, 18])}f}"
        return str(self.rng.randrange(-8, 9) / 4)

    def term(self, names: list[str], depth: int) -> object:
        kind = self.rng.random()
        if depth == 0 or kind < 0.35:
            return self.rng.choice(names) if self.rng.random() < 0.75 else self.constant()
        if kind < 0.55:
            return ("*", self.constant(), self.term(names, depth - 1))
        operator = self.rng.choice("+-")
        return (operator, *(self.term(names, depth - 1) for _ in range(self.rng.randint(1, 3))))

    def formula(self, depth: int) -> tuple[object, ...]:
        if depth and self.rng.random() < 0.75:
            parts = [self.formula(depth - 1) for _ in range(self.rng.randint(1, 3))]
            return (self.rng.choice(["and", "or"]), *parts)
        if self.rng.random() < 0.4:  # inputs only: not strict, as regions are closures
            names, operators = ["X_0", "X_1"], ["<=", ">="]
        else:
            # One output stands on one side only, so it cannot cancel.
            left, right = self.rng.sample(["Y_0", "Y_1"], 2)
            return (
                self.rng.choice(["<=", ">=", "<", ">", "="]),
                ("+", left, self.term(["X_0", "X_1"], 1)),
                self.term([right, "X_0"], 2) if self.rng.random() < 0.5 else self.constant(),
            )
        return (self.rng.choice(operators), self.term(names, 2), self.term(names, 1))

    def text(self, tree: object) -> str:
        return f"({' '.join(map(self.text, tree))})" if isinstance(tree, tuple) else str(tree)

    def value(self, tree: object, env: dict[str, Fraction]) -> Fraction:
        if not isinstance(tree, tuple):
            return env[tree] if tree in env else Fraction(str(tree))
        head, *rest = tree
        values = [self.value(part, env) for part in rest]
        if head == "*":
            return values[0] * values[1]
        if head == "+":
            return sum(values, Fraction(0))
        return -values[0] if len(values) == 1 else values[0] - sum(values[1:], Fraction(0))

    def holds(self, tree: tuple[Any, ...], env: dict[str, Fraction]) -> bool:
        head, *rest = tree
        if head == "and":
            return all(self.holds(part, env) for part in rest)
        if head == "or":
            return any(self.holds(part, env) for part in rest)
        a, b = (self.value(part, env) for part in rest)
        return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "=": a == b}[str(head)]


def violated(query: Query, x: list[Fraction], y: list[Fraction]) -> bool:
    """Membership through the claims: in some region, without its property, all exact."""
    for claim in query.claims:
        box = zip(claim.box.lower, x, claim.box.upper, strict=True)
        inside = all(Fraction(a) <= v <= Fraction(b) for a, v, b in box)
        if inside and claim.halfspaces is not None:
            inside = all(
                sum((Fraction(c) * v for c, v in zip(row, x, strict=True)), Fraction(0)) <= bound
                for row, bound in zip(
                    claim.halfspaces.matrix, claim.halfspaces.bound.tolist(), strict=True
                )
            )
        if inside and not all(
            any(exactly(i, x, y) for i in clause) for clause in claim.property.clauses
        ):
            return True
    return False


@pytest.mark.parametrize("decimals", [False, True])
def test_claims_against_a_naive_evaluator(decimals: bool) -> None:
    rng = random.Random(7)
    seen = {False: 0, True: 0}
    for seed in range(60):
        naive = Naive(seed, decimals)
        box = "(assert (and (<= -1 X_0 1) (<= -1 X_1 1)))"
        try:
            query = parse_vnnlib(f"{HEAD}{box}(assert {naive.text(naive.tree)})", net(), cap=3000)
        except QueryError as error:
            assert "conjunctions" in str(error)
            continue
        for _ in range(40):
            # a coarse grid, so that boundaries are hit
            env = {n: Fraction(rng.randrange(-5, 6), 4) for n in ("X_0", "X_1", "Y_0", "Y_1")}
            x, y = [env["X_0"], env["X_1"]], [env["Y_0"], env["Y_1"]]
            truth = max(map(abs, x)) <= 1 and naive.holds(naive.tree, env)
            assert query.accepts(x, y) == truth
            if decimals:
                assert violated(query, x, y) or not truth
            else:
                assert violated(query, x, y) == truth
            seen[truth] += 1
    assert min(seen.values()) > 150


# ---------------------------------------------------------------- VNN-LIB 2.0

V2 = """(vnnlib-version <2.0>)
(declare-network f
  (declare-input X {type} [1,2])
  {hidden}
  (declare-output Y {type} [2]))
(assert (and (<= X[0,0] 1.0) (>= X[0,0] 0.0) (<= (* 2.0 X[0,1]) 1.0) (<= -0.5 X[0,1])))
{body}
"""


def v2(body: str, hidden: str = "", kind: str = "real", network: Network | None = None) -> Query:
    pytest.importorskip("vnnlib")
    return parse_vnnlib(V2.format(body=body, hidden=hidden, type=kind), network or net())


def test_version_2() -> None:
    query = v2("(assert (or (<= Y[0] Y[1]) (!= Y[1] 2.5) (== (- Y[0] 1.0) X[0,1])))")
    (claim,) = query.claims
    assert query.version == "2.0"
    assert claim.box.lower.tolist() == [0.0, -0.5]
    assert claim.box.upper.tolist() == [1.0, 0.5]
    assert clauses(query) == [
        ["y0 - y1 > 0"],
        ["y1 ≥ 2.5"],
        ["- y1 ≥ -2.5"],
        ["y0 - x1 > 1", "- y0 + x1 > -1"],
    ]


HIDDEN = '(declare-hidden H real [2] "{}")'


@pytest.mark.parametrize(
    ("tensor", "body", "expected"),
    [
        ("a", "(>= H[1] 0.5)", DecisionPattern(above=frozenset({("relu", 1, 0.5)}))),
        ("a", "(<= H[1] -0.5)", DecisionPattern(below=frozenset({("relu", 1, -0.5)}))),
        ("a", "(and (>= H[1] 0.0) (< H[0] 0.0))", DecisionPattern({("relu", 1)}, {("relu", 0)})),
        ("b", "(>= H[0] 2.0)", DecisionPattern(above=frozenset({("relu", 0, 2.0)}))),
        ("b", "(<= H[0] 0.0)", DecisionPattern(off=frozenset({("relu", 0)}))),
        ("b", "(> H[0] 0.0)", DecisionPattern(on=frozenset({("relu", 0)}))),
        ("b", "(>= H[0] -1.0)", DecisionPattern()),  # a ReLU is never negative
        ("b", "(< H[0] 0.0)", None),
        ("a", "(and (<= H[0] 1.0) (>= H[0] 2.0))", None),
    ],
)
def test_hidden_bounds_are_pattern_literals(
    tensor: str, body: str, expected: DecisionPattern | None
) -> None:
    query = v2(f"(assert (<= Y[0] 0.0))(assert {body})", HIDDEN.format(tensor))
    if expected is None:
        assert query.claims == ()
        return
    (claim,) = query.claims
    assert claim.pattern == expected
    assert clauses(query) == [["y0 > 0"]]


def test_equal_hidden_bounds_are_not_a_contradiction() -> None:
    (claim,) = v2("(assert (== H[0] 0.5))", HIDDEN.format("a")).claims
    assert not claim.pattern.is_contradictory
    low, high = claim.pattern.intervals(claim.network)["relu"]
    assert low[0] < 0.5 <= high[0]


def test_hidden_values_in_arithmetic_become_outputs() -> None:
    query = v2("(assert (<= (+ H[0] (* 2.0 H[1])) Y[1]))", HIDDEN.format("b"))
    assert query.network.output_size == 4
    assert clauses(query) == [["- y1 + y2 + 2 y3 > 0"]]
    # hidden 1, 1 at the origin: 1 + 2 ≤ 7
    assert query.admits([0.0, 0.0])
    assert query.assignment([0.0, 0.0])["H"].tolist() == [1.0, 1.0]
    assert list(query.assignment([0.0, 0.0])) == ["X", "H", "Y"]


def test_hidden_input_and_output_tensors() -> None:
    assert clauses(v2("(assert (<= H[0] 0.0))", HIDDEN.format("c"))) == [["y0 > 0"]]
    assert v2("(assert (<= H[0] 0.5))", HIDDEN.format("x")).claims[0].box.upper[0] == 0.5


SEVERAL = """(vnnlib-version <2.0>)
(declare-network f (declare-input A real [2]) (declare-output B real [2]))
(declare-network g ({relation} f)
  (declare-input C real [2]) (declare-hidden H real [2] "a") (declare-output D real [2]))
(assert (and (<= A[0] 1.0) (>= A[0] 0.0) (== A[1] 0.0) (== C[1] 0.0) (>= C[0] 0.0)))
(assert (<= C[0] A[0]))
(assert (> D[1] B[1]))
(assert (<= H[1] 3.0))
"""


def test_several_networks_stand_side_by_side() -> None:
    """A monotone network: C ≤ A and g(C) > f(A) has no solution when g = f."""
    pytest.importorskip("vnnlib")
    query = parse_vnnlib(SEVERAL.format(relation="equal-to"), net())
    (claim,) = query.claims
    assert (query.network.input_size, query.network.output_size) == (4, 4)
    assert clauses(query) == [["y1 - y3 ≥ 0"]]
    assert claim.pattern == DecisionPattern(below=frozenset({("g/relu", 1, 3.0)}))
    assert claim.box.upper.tolist() == [1.0, 0.0, 1.0, 0.0]  # C_0 is bounded by A_0
    assert not query.admits([0.5, 0.0, 0.25, 0.0])
    other = Network((*net().nodes, Node("up", Affine(2 * np.eye(2), np.zeros(2)), ("out",))), (2,))
    with pytest.raises(UnsupportedQuery, match=r"hidden variable H of network g: .* got 'a'"):
        parse_vnnlib(SEVERAL.format(relation="isomorphic-to"), {"f": net(), "g": other})
    plain = SEVERAL.format(relation="isomorphic-to").replace("(assert (<= H[1] 3.0))", "")
    plain = plain.replace('(declare-hidden H real [2] "a")', "")
    query = parse_vnnlib(plain, {"f": net(), "g": other})
    # f's outputs at (0.5, 0) are 3.5 and 8.5, g's at (0.5, 0) twice that
    assert query.admits([0.5, 0.0, 0.5, 0.0])
    values = exact_values(query.network, [0.5, 0.0, 0.5, 0.0])[query.network.output].fractions()
    assert values == [Fraction(7, 2), Fraction(17, 2), Fraction(7), Fraction(17)]
    assert query.assignment([0.5, 0.0, 0.5, 0.0])["D"].tolist() == [7.0, 17.0]


PARTS = """(vnnlib-version <2.0>)
(declare-network f
  (declare-input A real [1,2]) (declare-input B real [])
  (declare-output C real [2]) (declare-output D real [1]))
(assert (and (>= A[0,0] 0.0) (<= A[0,0] 1.0) (== A[0,1] 0.5) (>= B 0.0) (<= B 2.0)))
(assert (>= D[0] C[1]))
"""


def test_several_inputs_and_outputs_of_one_network() -> None:
    """Inputs A (2), B (1) and outputs C (2), D (1) lie one after another, in the model's order."""
    pytest.importorskip("vnnlib")
    parts = {
        "input_parts": (NamedTensor("a", (2,)), NamedTensor("b", ())),
        "output_parts": (NamedTensor("c", (2,)), NamedTensor("d", (1,))),
    }
    query = parse_vnnlib(PARTS, net(3, 3, **parts))
    (claim,) = query.claims
    assert claim.box.lower.tolist() == [0.0, 0.5, 0.0]
    assert claim.box.upper.tolist() == [1.0, 0.5, 2.0]
    assert clauses(query) == [["y1 - y2 > 0"]]
    # relu(x + 1) = 1, 1.5, 1 at the left end; rows 4 5 6 and 7 8 9: 17.5 and 28
    assert query.admits([0.0, 0.5, 0.0])
    values = query.assignment([0.0, 0.5, 0.0])
    assert list(values) == ["A", "B", "C", "D"]
    assert values["A"].tolist() == [[0.0, 0.5]] and values["B"].tolist() == 0.0
    assert values["C"].tolist() == [7.0, 17.5] and values["D"].tolist() == [28.0]
    one = PARTS.replace("(declare-input B real [])", "")
    with pytest.raises(QueryError, match="expected 2 inputs as in the model: a, b, got 1: A"):
        parse_vnnlib(one.replace("(>= B 0.0) (<= B 2.0)", ""), net(3, 3, **parts))
    equal = PARTS.replace(
        "(assert (and",
        "(declare-network g (equal-to f) (declare-input E real [1,2])"
        "(declare-input F real []) (declare-output G real [2]) (declare-output H real [1]))"
        "(assert (and (== E[0,0] A[0,0]) (== E[0,1] A[0,1]) (== F B)",
        1,
    ).replace("D[0] C[1]", "H[0] D[0]")
    query = parse_vnnlib(equal, net(3, 3, **parts))
    assert query.network.input_size == 6
    assert clauses(query) == [["y2 - y5 > 0"]]


@pytest.mark.parametrize(
    ("text", "networks", "match"),
    [
        (SEVERAL.format(relation="isomorphic-to"), net(), r"expected networks named f, g"),
        (SEVERAL.format(relation="equal-to"), {"f": net(), "g": net()}, r"each of f and no other"),
        (SEVERAL.format(relation="equal-to"), {}, r"each of f and no other, got none"),
        (SEVERAL.format(relation="equal-to"), {"h": net()}, r"no other, got h"),
    ],
)
def test_models_must_match_declarations(
    text: str, networks: dict[str, Network] | Network, match: str
) -> None:
    pytest.importorskip("vnnlib")
    with pytest.raises(QueryError, match=match):
        parse_vnnlib(text, networks)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("Y[0] 0.0", "Z[0] 0.0", r"line 7: Undeclared variable: .*got 'Z'"),
        ("(<= Y[0] 0.0)", "(<= Y[0 0.0)", r"line 7: column \d+: expected VNN-LIB 2.0, got '0.0'"),
        ("Y[0] 0.0", "Y[3] 0.0", r"line 7: Index out of bounds.*got 'Y\[3\]'"),
        ("Y[0] 0.0", "Y[-1] 0.0", r"line 7: element of Y: expected 1 indices .* got \[-1\]"),
        ("Y[0] 0.0", f"Y[{10**20}] 0.0", r"what its parser cannot read \(stoll\)"),
        ("Y[0] 0.0", "é[0] 0.0", r"line 7: expected VNN-LIB 2.0 in ASCII, got 'é'"),
        ("Y[0] 0.0", "Y[0] 1", r"line 7: Type mismatch.*got '1'"),
        ("(<= Y[0] 0.0)", "(<= (* Y[0] Y[1]) 0.0)", r"line 7: product: expected at most one"),
        ("Y real [2]", "Y real [3]", r"shape of output Y of network f: expected \[2\] as in"),
        ("X real [1,2]", "X real [2]", r"line 6: Too many indices .* got 'X\[0,0\]'"),
        ("X real [1,2]", "X bfloat16 [1,2]", r"element type of X: expected one of .* got BF16"),
        ("<= X[0,0] 1.0", "<= X[0,1] 1.0", r"got no upper bound of X\[0,0\]"),
        (
            "Y real [2]",
            "Y real [2]) (declare-output Z real [2]",
            r"expected 1 output as in the model, got 2: Y, Z",
        ),
    ],
)
def test_version_2_errors(old: str, new: str, match: str) -> None:
    pytest.importorskip("vnnlib")
    text = V2.format(body="(assert (<= Y[0] 0.0))", hidden="", type="real")
    assert old in text
    with pytest.raises(QueryError, match=match):
        parse_vnnlib(text.replace(old, new), net())


@pytest.mark.parametrize("breaks", ["\x0b", "\x1c", "\x85", "\u2028"])
def test_parentheses_in_a_comment_are_none(breaks: str) -> None:
    """What breaks lines in Unicode does not end a comment, so nothing there makes room for a depth
    that would exhaust the stack of a parser."""
    pytest.importorskip("vnnlib")
    deep = f"(assert {'(and ' * 5000}(<= Y[0] 0.0){')' * 5000})"
    with pytest.raises(QueryError, match=r"line 8: nesting: expected at most 200 levels"):
        v2(f"; {breaks}{')' * 6000}\n{deep}")


def test_snap_keeps_the_declared_type() -> None:
    query = v2("(assert (<= X[0,0] 0.7))(assert (<= Y[0] 0.0))", kind="float32")
    moved = query.snap(0, [0.9, 0.1])
    assert [float(np.float32(v)) for v in moved] == moved.tolist()
    assert (
        Fraction(moved[0])
        <= Fraction("0.7")
        < Fraction(float(np.nextafter(np.float32(moved[0]), np.float32(1))))
    )
    assert query.assignment(moved)["Y"].dtype == np.float32


# ---------------------------------------------------------------- fuzz and data


@pytest.mark.parametrize("version", [1, 2])
def test_mutated_texts_raise_nothing_else(version: int) -> None:
    if version == 2:
        pytest.importorskip("vnnlib")
    body = "(assert (or (<= Y[0] Y[1]) (and (>= H[0] 0.5) (!= Y[1] 2.5))))"
    text = (
        f"{HEAD}\n{UNIT}\n(assert (or (<= Y_0 (* 2.5e-1 Y_1)) (and (>= (- X_0) (/ Y_1 3)))))"
        if version == 1
        else V2.format(body=body, hidden=HIDDEN.format("a"), type="real")
    )
    rng = random.Random(version)
    pieces = [*'()<>=-+*/.;"[], \n019eXY', "assert", "and", "or", "1e5", "Real", "\x00", "é"]
    refused = 0
    for _ in range(200):
        broken = text
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(broken))
            end = at + rng.choice([0, 1, 1, 5, 40])
            broken = broken[:at] + rng.choice(["", *pieces]) + broken[end:]
        try:
            parse_vnnlib(broken, net(), cap=1000)
        except PrecondError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100


@pytest.mark.skipif(not (DATA / "acasxu").is_dir(), reason="needs the shared data")
@pytest.mark.parametrize(
    ("folder", "inputs", "outputs"),
    [("acasxu", 5, 5), pytest.param("mnistfc", 784, 10, marks=pytest.mark.slow)],
)
def test_known_queries(folder: str, inputs: int, outputs: int) -> None:
    weight = np.ones((outputs, inputs))
    network = Network((Node("out", Affine(weight, np.zeros(outputs)), ("input",)),), (inputs,))
    for file in sorted((DATA / folder).glob("*.vnnlib")):
        query = read_vnnlib(file, network)
        (claim,) = query.claims
        assert claim.box.size == inputs
        if folder == "mnistfc":
            assert len(claim.property.clauses) == 9
        elif file.stem == "prop_1":
            assert clauses(query) == [["- y0 > -3.99113"]]
        elif file.stem == "prop_2":
            assert clauses(query) == [[f"- y0 + y{k} > 0" for k in range(1, 5)]]
        else:
            assert clauses(query) == [[f"y0 - y{k} > 0" for k in range(1, 5)]]


@pytest.mark.parametrize(
    "before",
    [
        '(set-info :source "by hand; see (1")',
        '(set-info :source "a "" quote; and (")',
        '(set-info :source "two\nlines; (")',
        "(set-info :source |bars; and (|)",
        '; a comment with a " and a |',
        "\ufeff",
    ],
)
def test_what_is_quoted_is_no_syntax(before: str, tmp_path: Path) -> None:
    body = f"{HEAD}\n{UNIT}\n(assert (<= |Y_0| Y_1))"
    path = tmp_path / "q.vnnlib"
    path.write_text(f"{before}\n{body}", encoding="utf-8")
    assert clauses(read_vnnlib(path, net())) == [["y0 - y1 > 0"]]


def test_lines_are_counted_through_a_string() -> None:
    with pytest.raises(QueryError, match="line 4: command"):
        parse_vnnlib(f'(set-info :a "1\n2")\r\n{HEAD}\n(frobnicate)', net())


@pytest.mark.parametrize("quote", ['"', "|"])
def test_a_string_that_is_never_closed(quote: str) -> None:
    with pytest.raises(QueryError, match="line 2: a string or symbol is never closed"):
        parse_vnnlib(f"{HEAD}\n(set-info :a {quote}b)\n", net())


def test_a_comment_goes_to_the_end_of_its_line_alone() -> None:
    # U+2028 ends no line of SMT-LIB.
    assert not v1("; \u2028(assert (<= Y_0 0))\n(assert false)").claims
