"""Certificate files written by an enemy: forged, changed, or made to cost much for nothing."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from certificate_damage import is_false
from certificate_damage_proof import holds, small_certificates
from certificate_files import changed, parts, same, sealed
from certificate_forged import AT_LEAST, AT_MOST, bombs, comb, forged, frauds
from scipy.sparse import csr_array
from small_networks import IDENTITY, layered

from precond.checker.certificate import (
    SPLIT,
    Certificate,
    Linear,
    PreActivationBound,
    Statement,
    Tree,
)
from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.checker.files import read_certificate, write_certificate
from precond.cli import main
from precond.errors import DataError, OutputError
from precond.formats.onnx.writer import write_onnx
from precond.network.graph import Network
from precond.proof.certificates.folder import kept, place
from precond.proof.claim import Claim
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

RELU = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))  # y = relu(x)
CHECKERS = (check, check_fast)
MIB = 1 << 20


def accepted(raw: bytes, network: Network, path: Path) -> Certificate | None:
    """What is read of a file that one of the checkers accepts."""
    path.write_bytes(raw)
    try:
        given = read_certificate(path)
    except DataError as error:
        assert str(error).isprintable()
        return None
    assert all(line.isprintable() for line in given.statement.lines())
    return given if any(checker(given, network).valid for checker in CHECKERS) else None


def test_the_forger_can_write_good_files_too(tmp_path: Path) -> None:
    """y ≥ −1 is valid, y ≤ 1 on [0, 1000] is not."""
    plain = ([0], comb(0))
    assert accepted(forged(RELU, [AT_LEAST], [plain]), RELU, tmp_path / "c")
    assert not accepted(forged(RELU, [AT_MOST], [plain]), RELU, tmp_path / "c")


def test_forged_files_are_never_valid(tmp_path: Path) -> None:
    names = [name for name, raw in frauds(RELU) if accepted(raw, RELU, tmp_path / "c")]
    assert names == []


def test_short_files_cost_little(tmp_path: Path) -> None:
    """Files of 1 to 900 kB that unpack to as much as 30 MB are refused in ten times their size."""
    path = tmp_path / "c"
    for name, raw in bombs(RELU):
        path.write_bytes(raw)
        tracemalloc.start()
        with pytest.raises(DataError):
            read_certificate(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= 10 * len(raw) + MIB, (name, len(raw), peak)


@pytest.fixture(scope="module")
def good(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[tuple[Claim, Certificate, bytes]]]:
    path, found = tmp_path_factory.mktemp("good") / "c", []
    for claim, made in small_certificates(np.random.default_rng(3), 2):
        write_certificate(made, path)
        found.append((claim, made, path.read_bytes()))
    yield found


def test_changed_files_are_valid_only_where_they_hold(
    good: list[tuple[Claim, Certificate, bytes]], tmp_path: Path
) -> None:
    """Of 120 changes of bytes, numbers, shapes and fields: what is still valid has the content of
    the good file, or a proof that holds in fractions."""
    rng = np.random.default_rng(0)
    for k in range(120):
        claim, made, raw = good[k % len(good)]
        name, other = changed(raw, rng)
        found = accepted(other, claim.network, tmp_path / "c")
        if found is None or same(found, made):
            continue
        s = found.statement
        points = s.lower + (s.upper - s.lower) * rng.uniform(size=(20, s.lower.size))
        assert not is_false(s, claim.network, points), (k, name)
        assert holds(found, claim.network), (k, name)


def test_files_have_one_spelling(
    good: list[tuple[Claim, Certificate, bytes]], tmp_path: Path
) -> None:
    """Taken apart and sealed again a file is what it was; with a space more it is none."""
    claim, made, raw = good[0]
    again = accepted(sealed(parts(raw)), claim.network, tmp_path / "c")
    assert again is not None
    assert same(again, made)
    assert not accepted(raw.replace(b'"bits": ', b'"bits":  '), claim.network, tmp_path / "c")


def test_what_zlib_packs_too_well_is_written_less_tightly(tmp_path: Path) -> None:
    """2,000 leaves of 20 rows each, all alike but for the place of the split."""
    leaves, ways = 2_000, 20
    stated = Statement(
        network=RELU.hash, origin="m", lower=np.zeros(1), upper=np.ones(1), literals=(),
        clauses=((Linear(((0, 1.0),), (), -1.0, False),),) * ways,
        matrix=np.zeros((0, 1)), bound=np.zeros(0),
    )  # fmt: skip
    balanced = _balanced(leaves)
    item = np.where(balanced & SPLIT, 0, -1)
    at = np.arange(1, leaves) / leaves
    tree = Tree(
        tuple(range(ways)), balanced, item, at, np.ones((leaves, ways)), np.full((leaves, ways), -1)
    )
    made = Certificate(statement=stated, bits=27, trees=(tree,), records=csr_array((0, 3)))
    size = write_certificate(made, tmp_path / "c")
    again = read_certificate(tmp_path / "c")
    assert same(again, made)
    assert size < 80_000  # of 350 kB in memory


def _balanced(leaves: int) -> np.ndarray:
    """Kinds of a tree in preorder that halves the number of its leaves."""
    if leaves == 1:
        return np.zeros(1, np.uint8)
    parts = [np.array([SPLIT], np.uint8), _balanced(leaves // 2), _balanced(leaves - leaves // 2)]
    return np.concatenate(parts)


def test_no_device_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c")
    for path in (tmp_path / "c", tmp_path):
        with pytest.raises(DataError, match="expected a file, got a folder or a device"):
            read_certificate(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a file, got no such file"):
        read_certificate(tmp_path / "c")


FALSE = Property(((Inequality(((0, -1.0),), -1.0),),), "y0 <= 1")


def test_a_planted_file_is_not_believed(tmp_path: Path) -> None:
    """Files under the name of a false claim: forged, of another statement, of another network."""
    claim = Claim(RELU, Box([0.0], [1000.0]), DecisionPattern(), FALSE)
    plain = ([0], comb(0))
    small = forged(RELU, [AT_MOST], [plain], high=0.5)  # true, of a smaller box
    for raw in (
        small,
        forged(IDENTITY, [AT_MOST], [plain], high=0.5),
        *(r for _, r in frauds(RELU)),
    ):
        place(tmp_path, claim).write_bytes(raw)
        assert kept(tmp_path, claim) is None
    place(tmp_path, claim).write_bytes(small)
    half = Claim(RELU, Box([0.0], [0.5]), DecisionPattern(), FALSE)
    place(tmp_path, half).write_bytes(small)
    verdict = kept(tmp_path, half)
    assert verdict is not None
    assert (verdict.status, verdict.exact) == (Status.PROVED, True)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("witness", [np.array([0.25]), np.array([np.nan]), None])
def test_a_planted_row_refutes_nothing(
    tmp_path: Path, witness: np.ndarray | None, exact: bool
) -> None:
    """The ledger says that y ≤ 1 on [0, 0.5] is refuted by 0.25, or by no number: the claim is
    proved, and the contradiction is an error."""
    claim = Claim(RELU, Box([0.0], [0.5]), DecisionPattern(), FALSE)
    planted = Verdict(Status.REFUTED, "by hand", confirmed=False, witness=witness)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put(f"2:{claim.key}", planted, 1e9)
        with pytest.raises(OutputError, match="expected refuted, as by hand found, got proved"):
            prove(claim, budget=20, ledger=ledger, exact=exact)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    write_onnx(RELU, path)
    return path


def test_the_printed_statement_is_the_checkers(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name with line breaks, separators, escapes and marks of direction stays in its place."""
    from precond.formats.load import load

    network, path = load(model), tmp_path / "c"
    fake = "m)\nthe outputs y have\n  y0 ≥ 9\u2028valid\r\x1b[2J\u202e\x9b"
    path.write_bytes(forged(network, [], [], origin=fake))
    assert main(["check", str(path), str(model)]) == 0
    shown = capsys.readouterr().out
    lines = shown.split("\n")
    assert lines[0] == f"network {network.hash} ({fake!r})"
    assert lines[1:] == ["the outputs y have", "  no property", "for all inputs x with",
                         "  x0 in [0.0, 1000.0]", "valid", ""]  # fmt: skip
    path.write_bytes(forged(network, [AT_LEAST * 60], [([0], _weights(60))], origin="a" * 9_000))
    main(["check", str(path), str(model)])
    first, _, clause, *_, last, _ = capsys.readouterr().out.split("\n")
    assert first.endswith("more characters: --statement")
    assert clause.endswith("more characters: --statement")
    assert last == "valid"
    main(["check", str(path), str(model), "--statement"])
    assert " or ".join(["y0 ≥ -1.0"] * 60) in capsys.readouterr().out


def _weights(count: int) -> dict[str, np.ndarray]:
    return comb(0) | {"weights": np.ones((1, count), "<f4")}


def test_names_that_look_like_a_statement_are_quoted() -> None:
    assert str(PreActivationBound("relu1", 3, True, 0.0)) == "pre-activation relu1[3] ≥ 0.0"
    odd = PreActivationBound("relu1[3] ≥ 0.0 or relu2", 1, False, 2.0)
    assert str(odd) == "pre-activation 'relu1[3] ≥ 0.0 or relu2'[1] ≤ 2.0"


def test_exit_statuses(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 valid, 1 not valid, 2 a user's error; what words cannot hold is no verdict."""
    from precond.formats.load import load

    network, path = load(model), tmp_path / "c"
    plain = ([0], comb(0))
    cases = ((AT_LEAST, 27, [], 0), (AT_MOST, 27, [], 1), (AT_MOST, 27, ["--fast"], 1),
             (AT_LEAST, 0, ["--fast"], 2))  # fmt: skip
    for clause, bits, options, status in cases:
        path.write_bytes(forged(network, [clause], [plain], bits=bits))
        assert main(["check", str(path), str(model), *options]) == status
    assert "Check without --fast" in capsys.readouterr().err


def test_large_numbers_are_no_error() -> None:
    """Weights of 1e200: y ≤ 0.5 is false on [0, 1], and both checkers say so."""
    network = layered(([[1e200]], [0.0]), ([[1e200]], [0.0]))
    linear = Linear(((0, -1.0),), (), -0.5, False)
    stated = Statement(
        network=network.hash, origin="m", lower=np.zeros(1), upper=np.ones(1), literals=(),
        clauses=((linear,),), matrix=np.zeros((0, 1)), bound=np.zeros(0),
    )  # fmt: skip
    one = np.ones((1, 1))
    tree = Tree((0,), np.zeros(1, np.uint8), np.array([-1]), np.zeros(0), one, -one.astype(int))
    made = Certificate(statement=stated, bits=27, trees=(tree,), records=csr_array((0, 3)))
    for checker in CHECKERS:
        result = checker(made, network)
        assert (result.valid, result.decided) == (False, True)
        assert "not contradicted" in result.where
