"""What the VNN-LIB standard's chapter 5 asks a solver to print."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from precond.errors import ModelError, OutputError, QueryError
from precond.network.graph import INPUT
from precond.proof.verdict import Status
from precond.vnnlib.formula import Declaration, VariableKind
from precond.vnnlib.standard import (
    Capability,
    Reader,
    Result,
    answer,
    check_element_types,
    format_assignment,
    model_element_types,
    parse_networks,
    result_of,
    serialise_assignment,
    supports,
    version,
)

# The example of section 5.3.1, as far as one network goes.
DECLARED = (
    Declaration(
        name="A",
        element_type="float32",
        shape=(2, 2),
        kind=VariableKind.INPUT,
        network="f",
        node=INPUT,
    ),
    Declaration(
        name="H",
        element_type="float32",
        shape=(1, 2),
        kind=VariableKind.HIDDEN,
        network="f",
        node="hidden",
    ),
    Declaration(
        name="Y", element_type="real", shape=(), kind=VariableKind.OUTPUT, network="f", node="out"
    ),
)
VALUES = {
    "Y": np.array(-1e-7),
    "A": np.array([[0.5, 0.3], [0.4, 1.0]], np.float32),
    "H": np.array([[0.5, 1e10]], np.float32),
}
PRINTED = """A float32 [2,2]
0.5
0.3
0.4
1.0
H float32 [1,2]
0.5
10000000000.0
Y real []
-0.0000001
"""


def test_assignment_format() -> None:
    assert format_assignment(DECLARED, VALUES) == PRINTED


def test_first_line() -> None:
    assert answer(Result.SAT, DECLARED, VALUES) == f"sat\n{PRINTED}"
    assert answer(Result.SAT) == "sat\n"
    assert answer(Result.TIMED_OUT) == "timed-out\n"
    assert [answer(r) for r in (Result.UNSAT, Result.UNKNOWN)] == ["unsat\n", "unknown\n"]
    with pytest.raises(QueryError, match="expected the result sat, got unsat"):
        answer(Result.UNSAT, DECLARED, VALUES)


@pytest.mark.parametrize(
    ("statuses", "late", "result"),
    [
        ([], False, Result.UNSAT),  # every region was empty
        ([Status.PROVED, Status.VACUOUS], True, Result.UNSAT),
        ([Status.PROVED, Status.REFUTED, Status.UNKNOWN], True, Result.SAT),
        ([Status.PROVED, Status.UNKNOWN], False, Result.UNKNOWN),
        ([Status.PROVED, Status.UNKNOWN], True, Result.TIMED_OUT),
        ([Status.EMPIRICAL], False, Result.UNKNOWN),
    ],
)
def test_result_of_claims(statuses: list[Status], late: bool, result: Result) -> None:
    assert result_of(statuses, out_of_time=late) is result


def test_printed_values_read_back() -> None:
    rng = np.random.default_rng(0)
    for kind in (np.float32, np.float64):
        numbers = (rng.normal(size=100) * 10.0 ** rng.integers(-20, 20, 100)).astype(kind)
        declared = Declaration(
            name="V",
            element_type="real",
            shape=(100,),
            kind=VariableKind.INPUT,
            network="f",
            node=INPUT,
        )
        lines = format_assignment([declared], {"V": numbers}).splitlines()[1:]
        assert all(re.fullmatch(r"-?\d+\.\d+", line) for line in lines)
        assert (np.array([kind(line) for line in lines]) == numbers).all()


@pytest.mark.parametrize(
    "values", [{}, {**VALUES, "A": np.zeros(4)}], ids=["missing", "wrong shape"]
)
def test_incomplete_assignments_are_refused(values: dict[str, np.ndarray]) -> None:
    with pytest.raises(QueryError, match=r"assignment of A: expected values of shape \[2, 2\]"):
        format_assignment(DECLARED, values)


def test_serialised_assignment(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    files = serialise_assignment(DECLARED, VALUES, tmp_path / "a" / "b")
    assert [file.name for file in files] == ["A.pb", "H.pb", "Y.pb"]
    for file, declared in zip(files, DECLARED, strict=True):
        tensor = onnx.TensorProto.FromString(file.read_bytes())
        array = onnx.numpy_helper.to_array(tensor)
        assert tensor.name == declared.name
        assert array.dtype == VALUES[declared.name].dtype
        assert np.array_equal(array, VALUES[declared.name])
        assert array.shape == declared.shape
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a folder that can be written"):
        serialise_assignment(DECLARED, VALUES, tmp_path / "file")


def test_capabilities() -> None:
    reader = Reader((8, 20), ("Relu", "Conv", "Gemm"))
    answers = {c.value: supports(c, reader).splitlines() for c in Capability}
    assert len(answers) == 11
    assert answers["--onnx-opset-versions"] == ["8", "20"]
    assert answers["--onnx-operators"] == ["Conv", "Gemm", "Relu"]
    assert answers["--onnx-element-types"] == ["real", "float64", "float32"]
    assert answers["--vnnlib-versions"] == ["1.0", "2.0"]
    assert answers["--serialise-assignments"] == ["true"]
    words = {
        "--hidden-node-theories": {"NH", "H"},
        "--multiple-input-output-theories": {"SIO", "MIO"},
        "--multiple-network-theories": {"SNET", "MNET", "MENET", "MINET"},
        "--multiple-node-comparison-theories": {"SNC", "MNC"},
        "--arithmetic-complexity-theories": {"BND", "OUTC", "LIN", "POLY"},
        "--optimised-disjunctive-reasoning": {"true", "false"},
    }
    for flag, allowed in words.items():
        assert answers[flag]
        assert set(answers[flag]) <= allowed
    assert all(supports(c, reader).endswith("\n") for c in Capability)


def test_capability_names() -> None:
    assert Capability.named("--vnnlib-versions") is Capability.VNNLIB_VERSIONS
    spelt = Capability.named("--multiple-inputs-output-theories")
    assert spelt is Capability.MULTIPLE_INPUT_OUTPUT_THEORIES
    with pytest.raises(QueryError, match=r"capability: expected one of .*got '--magic'"):
        Capability.named("--magic")


def test_version_is_a_version() -> None:
    assert re.match(r"\d+\.\d+", version())


def test_network_options() -> None:
    assert parse_networks(["f=a=b.onnx", "g=c"]) == {"f": Path("a=b.onnx"), "g": Path("c")}
    for pairs, match in (
        (["f"], "expected NAME=MODEL, got 'f'"),
        (["=x"], "expected NAME=MODEL, got '=x'"),
        (["f=a", "f=b"], "expected each name once, got f twice"),
    ):
        with pytest.raises(QueryError, match=match):
            parse_networks(pairs)


def test_element_types_of_models(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info(n, types.FLOAT, [2]) for n in ("x", "w")],
        [helper.make_tensor_value_info("y", types.DOUBLE, [2])],
        [helper.make_tensor("w", types.FLOAT, [2], [1.0, 2.0])],
    )
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph), str(file))
    found = model_element_types(file)
    assert found == (("float32",), ("float64",))
    check_element_types(DECLARED[:2], {"f": found})
    with pytest.raises(QueryError, match=r"of Y of network f: expected float64 .* got real"):
        check_element_types(DECLARED, {"f": found})  # real beside float32 is no real query
    check_element_types(DECLARED[2:], {"f": found})
    file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="expected an ONNX file"):
        model_element_types(file)
