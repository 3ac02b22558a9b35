"""Nothing false is proved of a network whose constants no float holds.

Claims are ties within one unit in the last place on both sides of a value that is known in
fractions; each engine alone, all of them, and certificates are asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from inexact import made
from onnx import TensorProto, helper, numpy_helper

from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.checker.fast_bounds import FastBounds
from precond.formats.load import load
from precond.network.deviation import ranges, with_constants
from precond.network.enclosed import enclosed_values
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.engines.base import Engine
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.plans import Stage
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

ENGINES: dict[str, Callable[[], Engine]] = {
    "bounds": lambda: BoundsEngine("cpu", steps=0),
    "bounds-optimised": lambda: BoundsEngine("cpu", steps=20, name="bounds-optimised"),
    "highs": HighsEngine,
    "input-split": lambda: InputSplitEngine("cpu"),
    "relu-split": lambda: ReluSplitEngine("cpu"),
    "lp-split": lambda: LpSplitEngine("cpu"),
    "z3": Z3Engine,
}
SECONDS = 20.0  # far more than any of these small claims takes


@dataclass(frozen=True, eq=False)
class Tie:
    """``truth``: whether the claim holds; None where that is not known."""

    claim: Claim
    truth: bool | None


def tie(seed: int, folder: Path) -> Tie | None:
    """A claim about one output whose bound is next to a value that the output takes."""
    rng = np.random.default_rng(seed)
    model = made(rng, rational=bool(seed % 2), positive=bool(seed % 3))
    network = load(model.save(folder / "m.onnx"))
    if not network.decision_layers:
        return None
    x = rng.integers(0, 400, model.inputs) / 4
    values = model.value([Fraction(v) for v in x.tolist()])
    at = int(rng.integers(len(values)))
    near = float(values[at])
    bound = float([near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)][seed % 3])
    sign, strict, alone = (bool(rng.integers(2)) for _ in range(3))
    factor = -1 if sign else 1
    gap = factor * (values[at] - Fraction(bound))
    holds = gap > 0 if strict else gap >= 0
    known = alone or not holds or (model.positive and sign)  # x is where a monotone one is largest
    box = Box(x if alone else np.zeros(len(x)), x)
    inequality = Inequality(((at, float(factor)),), factor * bound, strict)
    claim = Claim(network, box, DecisionPattern(), Property(((inequality,),)))
    return Tie(claim, holds if known else None)


def agrees(verdict: Verdict, truth: bool | None) -> bool:
    if verdict.status is Status.VACUOUS:
        return False
    if truth is None or verdict.status is Status.UNKNOWN:
        return True
    return (verdict.status is Status.PROVED) == truth


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_no_engine_alone_is_wrong_about_ties(name: str, tmp_path: Path) -> None:
    for seed in range(20):
        asked = tie(seed, tmp_path)
        if asked is not None:
            verdict = prove(asked.claim, budget=1.0, stages=[Stage(ENGINES[name]())])
            assert agrees(verdict, asked.truth), seed


def test_ties_are_decided_right_with_certificates_that_check(tmp_path: Path) -> None:
    counts: Counter[tuple[bool | None, Status]] = Counter()
    for seed in range(101, 131, 2):  # rational networks
        asked = tie(seed, tmp_path)
        if asked is None:
            continue
        for exact in (False, True):
            verdict = prove(asked.claim, budget=SECONDS, exact=exact)
            assert agrees(verdict, asked.truth), seed
            counts[asked.truth, verdict.status] += 1
            if verdict.certificate is not None:
                assert check(verdict.certificate, asked.claim.network).valid
    assert counts[True, Status.PROVED] > counts[True, Status.UNKNOWN]
    assert counts[False, Status.REFUTED] > counts[False, Status.UNKNOWN]


def quotient(folder: Path, divisor: float) -> Network:
    """y = relu(x / d)."""
    nodes = [helper.make_node("Div", ["x", "d"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 1]), ("y", None))
    ]
    constant = numpy_helper.from_array(np.array([divisor], np.float32), "d")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "q.onnx"))
    return load(folder / "q.onnx")


@pytest.mark.parametrize("divisor", [49.0, 98.0, 103.0])
def test_a_quotient_of_equal_numbers_is_one(divisor: float, tmp_path: Path) -> None:
    """The float next to 1/49, times 49, is below 1; x / 49 at 49 is 1."""
    network = quotient(tmp_path, divisor)
    below = Property(((Inequality(((0, -1.0),), -1.0, strict=True),),))
    reached = Property(((Inequality(((0, 1.0),), 1.0),),))
    whole, end = Box(np.zeros(1), np.array([divisor])), Box(*[np.array([divisor])] * 2)
    pattern = DecisionPattern()
    for exact in (False, True):
        verdict = prove(Claim(network, whole, pattern, below), budget=SECONDS, exact=exact)
        assert verdict.status is Status.REFUTED
    assert prove(Claim(network, end, pattern, reached), budget=SECONDS).is_proved


def test_no_certificate_of_the_floats_serves_for_the_constants(tmp_path: Path) -> None:
    """A network of the floats is another one; its certificate says so, and with the other's name
    in it proves nothing."""
    network = quotient(tmp_path, 49.0)
    nodes = [
        type(n)(n.name, with_constants(n.layer, lambda _, stored, known: stored), n.inputs)
        if ranges(n.layer)
        else n
        for n in network.nodes
    ]
    floats = Network(tuple(nodes), network.input_shape)
    below = Property(((Inequality(((0, -1.0),), -1.0, strict=True),),))
    box, pattern = Box(np.zeros(1), np.array([49.0])), DecisionPattern()
    made = prove(Claim(floats, box, pattern, below), budget=SECONDS, exact=True).certificate
    assert made is not None and check(made, floats).valid
    assert floats.hash != network.hash and not check(made, network).valid
    object.__setattr__(made.statement, "network", network.hash)
    assert not check(made, network).valid and not check_fast(made, network).valid


def images(folder: Path) -> tuple[Network, Callable[[np.ndarray], np.ndarray]]:
    """Convolution by W / 7 with padding, minus c / 3, over windows of nine and their mean; and the
    same on fractions."""
    weight = np.arange(-4, 14, dtype=np.float32).reshape(2, 1, 3, 3)
    constants = {"w": weight, "d": np.float32([7]), "c": np.float32([[[5]], [[-8]]]), "t": 3.0}
    nodes = [
        helper.make_node("Div", ["w", "d"], ["v"]),
        helper.make_node("Conv", ["x", "v"], ["k"], pads=[1, 1, 1, 1]),
        helper.make_node("Div", ["c", "t"], ["q"]),
        helper.make_node("Sub", ["k", "q"], ["s"]),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["p"], ["u"]),
        helper.make_node("GlobalAveragePool", ["u"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 1, 5, 5]), ("y", None))
    ]
    tensors = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    imports = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), str(folder / "i.onnx"))

    def value(x: np.ndarray) -> np.ndarray:
        padded = np.full((7, 7), Fraction(0), dtype=object)
        padded[1:6, 1:6] = [[Fraction(float(v)) for v in row] for row in x.reshape(5, 5)]
        found = []
        for kernel, shift in zip(
            weight[:, 0].tolist(), (Fraction(5, 3), Fraction(-8, 3)), strict=True
        ):
            taps = [[Fraction(v) / 7 for v in row] for row in kernel]
            r = [
                [
                    max(
                        sum(taps[a][b] * padded[i + a, j + b] for a in range(3) for b in range(3))
                        - shift,
                        Fraction(0),
                    )
                    for j in range(5)
                ]
                for i in range(5)
            ]
            found.append(
                sum(
                    sum(r[i + a][j + b] for a in range(3) for b in range(3)) / 9
                    for i in range(3)
                    for j in range(3)
                )
                / 9
            )
        return np.array(found, dtype=object)

    return load(folder / "i.onnx"), value


def test_images_are_exact_too(tmp_path: Path) -> None:
    """Values in fractions, ties of them, and bounds of both checkers."""
    network, value = images(tmp_path)
    assert network.rational and len(network.inexact) >= 3
    x = np.random.default_rng(5).integers(-8, 9, 25) / 4
    truth = value(x)
    assert [low for low, _ in enclosed_values(network, x)[network.output].ends()] == list(truth)
    for at, exact in enumerate(truth):
        near = float(exact)
        for bound in (np.nextafter(near, -np.inf), near, np.nextafter(near, np.inf)):
            for factor in (1, -1):
                inequality = Inequality(((at, float(factor)),), factor * float(bound))
                claim = Claim(network, Box(x, x), DecisionPattern(), Property(((inequality,),)))
                holds = factor * (exact - Fraction(float(bound))) >= 0
                stages = [Stage(BoundsEngine("cpu", steps=0)), Stage(Z3Engine())]
                assert agrees(prove(claim, budget=SECONDS, stages=stages), holds)
                assert agrees(prove(claim, budget=2.0, stages=stages, exact=True), holds)


def test_bounds_of_checkers_hold_for_the_true_constants(tmp_path: Path) -> None:
    """Both checkers' bounds of every value contain what fractions give, and their slack is no
    more than a millionth of it."""
    from scipy.sparse import csr_array

    from precond.checker.certificate import Certificate, region
    from precond.checker.exact import Checker
    from precond.proof.certificates.certify import statement_of

    for seed in range(12):
        asked = tie(seed, tmp_path)
        if asked is None:
            continue
        network, box = asked.claim.network, asked.claim.box
        stated = statement_of(asked.claim)
        records = csr_array((0, 3 * network.neurons))
        exact = Checker(network, Certificate(statement=stated, bits=0, trees=(), records=records))
        fast = FastBounds(
            network, Certificate(statement=stated, bits=27, trees=(), records=records)
        )
        whole = region(stated, network)
        long = exact.derive(whole, refine={}).values
        short = fast.derive(whole[:, None], refine=[{}]).values
        for name, value in enclosed_values(network, box.upper).items():
            for ends, scale in ((long[name].n, long[name].e), (short[name].n[:, 0], short[name].e)):
                unit = Fraction(2) ** scale
                for k, (low, high) in enumerate(value.ends()):
                    assert int(ends[0, k]) * unit <= high and -int(ends[1, k]) * unit >= low
