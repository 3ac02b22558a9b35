"""``prove(exact=True)`` and ``--exact``: nothing is proved without a checked certificate."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE, ANY, KNOWN, MAXIMUM, Known, at_least, box
from looks import Looks
from small_networks import layered

from precond.checker.exact import check
from precond.checker.files import read_certificate
from precond.cli import main
from precond.errors import OutputError
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.proof.certificates.certify import certify, statement_of
from precond.proof.certificates.folder import keep, kept, place
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import NO_LINE, Answer, Lines, Outcome
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.ledger.ledger import Ledger
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.prover.prove import Stage, prove
from precond.proof.refusal import Refusal
from precond.proof.verdict import Status, Verdict
from precond.workers.exact import ExactJob
from precond.workers.pool import open_pool

TRUE = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-2.5, -1.0))  # |x| ≤ 2.5
FALSE = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-1.0, -1.0))  # |x| ≤ 1
OPEN = Claim(MAXIMUM, box((0, 1), (0, 1)), ANY, at_least(-1.25, -1.0))
PROOF = (Status.PROVED, Status.VACUOUS)


@dataclass(frozen=True)
class Says:
    """An engine that gives the same answer to everything, and no trace."""

    answer: Answer
    name: str = "oracle"
    lines: Lines = NO_LINE

    def unsupported(self, problem: Problem) -> Refusal | None:
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        return [self.answer] * len(problem.conjuncts)


SOFT = (Stage(Says(Answer(Outcome.INFEASIBLE))),)  # as Marabou's unsat: no rigour, no trace
SURE = (Stage(Says(Answer(Outcome.INFEASIBLE, rigorous=True))),)


@pytest.mark.parametrize("known", [pytest.param(k, id=k.name) for k in KNOWN])
def test_claims_worked_out_by_hand(known: Known) -> None:
    """The right status, and every proof's certificate is valid; none is missing."""
    verdict = prove(known.claim, budget=600, exact=True)
    assert verdict.status is known.status
    assert verdict.exact
    if verdict.status in PROOF:
        assert verdict.certificate is not None
        assert verdict.certificate.statement.vacuous is (verdict.status is Status.VACUOUS)
        assert check(verdict.certificate, known.claim.network).valid


@pytest.mark.parametrize("stages", [SOFT, SURE])
def test_an_engine_without_a_trace_is_proved_again(stages: tuple[Stage, ...]) -> None:
    verdict = prove(OPEN, budget=600, stages=stages, exact=True)
    assert (verdict.status, verdict.exact, verdict.confirmed) == (Status.PROVED, True, True)
    assert verdict.certificate is not None
    assert check(verdict.certificate, MAXIMUM).valid


def test_marabou_is_proved_again() -> None:
    pytest.importorskip("maraboupy")
    engine = MarabouEngine()
    try:
        plain = prove(OPEN, budget=600, stages=(Stage(engine),))
        assert (plain.status, plain.exact, plain.confirmed) == (Status.PROVED, False, False)
        exact = prove(OPEN, budget=600, stages=(Stage(engine),), exact=True)
    finally:
        engine.close()
    assert exact.certificate is not None
    assert check(exact.certificate, MAXIMUM).valid
    assert exact.reason == "rests on marabou alone, before it was certified"


def test_a_wrong_engine_is_not_believed() -> None:
    """Even one that says its rounding is rigorous: |x| ≤ 1 is false on [−2, 2]."""
    assert prove(FALSE, budget=600, stages=SURE).status is Status.PROVED
    verdict = prove(FALSE, budget=600, stages=SURE, exact=True)
    assert verdict.status in (Status.UNKNOWN, Status.REFUTED)
    assert verdict.certificate is None
    assert prove(FALSE, budget=600, stages=SOFT, exact=True).status not in PROOF


def test_unknown_says_which_engine_had_no_certificate() -> None:
    """Near |x| ≤ 2 − 2⁻⁵⁰: false by less than any float bound shows."""
    claim = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-(2 - 2.0**-50), -1.0))
    verdict = prove(claim, budget=600.0, stages=SURE, exact=True)
    if verdict.status is Status.UNKNOWN:
        assert verdict.reason.startswith("proved by oracle, but no certificate: ")
    else:
        assert verdict.status is Status.REFUTED
    assert not prove(claim, budget=600.0, stages=SURE).exact


def test_a_ledger_keeps_exact_and_other_proofs_apart() -> None:
    with Ledger(":memory:") as ledger:
        plain = prove(TRUE, budget=600, ledger=ledger)
        assert not plain.exact
        exact = prove(TRUE, budget=600, ledger=ledger, exact=True)
        assert exact.certificate is not None
        # The better founded row stays, and serves whoever does not ask for a certificate.
        assert prove(TRUE, budget=600, ledger=ledger).exact
        assert prove(TRUE, budget=600, ledger=ledger, exact=True).certificate is not None


def test_an_exact_unknown_is_no_other_unknown() -> None:
    with Ledger(":memory:") as ledger:
        stages = (Stage(Says(Answer(Outcome.UNDECIDED))),)
        first = prove(OPEN, budget=600, ledger=ledger, stages=stages, exact=True)
        assert first.status is Status.UNKNOWN
        again = prove(OPEN, budget=600, ledger=ledger, stages=stages, exact=True)
        assert (again.status, again.seconds) == (Status.UNKNOWN, round(first.seconds, 6))
        assert prove(OPEN, budget=600, ledger=ledger, stages=SURE).status is Status.PROVED
        # The proof that is there now is not exact: the earlier answer stands.
        third = prove(OPEN, budget=600, ledger=ledger, stages=stages, exact=True)
        assert (third.status, third.seconds) == (Status.UNKNOWN, round(first.seconds, 6))


def test_refuted_is_exact_and_is_recalled() -> None:
    with Ledger(":memory:") as ledger:
        first = prove(FALSE, budget=600, ledger=ledger)
        again = prove(FALSE, budget=600, ledger=ledger, exact=True)
        assert (again.status, again.exact) == (Status.REFUTED, True)
        assert again.seconds == round(first.seconds, 6)


def test_a_folder_gives_back_only_what_is_valid(tmp_path: Path) -> None:
    assert kept(tmp_path, TRUE) is None
    made = certify(TRUE, Verdict(Status.PROVED), 5)
    path = keep(tmp_path, TRUE, made)
    found = kept(tmp_path, TRUE)
    assert found is not None
    assert (found.status, found.exact, found.engine) == (Status.PROVED, True, "certificate")
    # A valid certificate of another claim, under this claim's name.
    other = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-3.5, -1.0))
    keep(tmp_path, other, certify(other, Verdict(Status.PROVED), 5)).rename(path)
    assert kept(tmp_path, TRUE) is None
    # One that states this claim, and proves nothing.
    keep(tmp_path, FALSE, replace(made, statement=statement_of(FALSE)))
    assert kept(tmp_path, FALSE) is None
    # One for which there is no time: too long to read, or stopped at its first leaf.
    keep(tmp_path, TRUE, made)
    assert kept(tmp_path, TRUE, Deadline(0.0)) is None
    assert kept(tmp_path, TRUE, Looks(2)) is not None
    assert kept(tmp_path, TRUE, Looks(1)) is None
    path.write_bytes(b"damaged")
    assert kept(tmp_path, TRUE) is None
    with pytest.raises(OutputError, match="certificate"):
        keep(tmp_path / "nowhere", TRUE, made)


@pytest.mark.slow
def test_jobs_bring_their_certificates(tmp_path: Path) -> None:
    """From a worker process; a job whose certificate is there does no work."""
    with open_pool(2) as pool:
        jobs = [ExactJob(claim, 10.0, folder=tmp_path) for claim in (TRUE, FALSE)]
        first, second = pool.map(jobs)
        assert first.certificate is not None
        assert check(first.certificate, ABSOLUTE).valid
        assert second.status is Status.REFUTED
        keep(tmp_path, TRUE, first.certificate)
        assert [v.engine for v in pool.map(jobs[:1])] == ["certificate"]


@pytest.fixture
def stored(tmp_path: Path) -> tuple[str, str]:
    """A model and a preconditions.json with a true entry and a false one."""
    model, file = tmp_path / "absolute.onnx", tmp_path / "preconditions.json"
    write_onnx(ABSOLUTE, model)
    network = load(model)
    entries = [
        Precondition(
            name, Kind.SPACE, "0", claim.property, ANY, Support(0, 0, None, None),
            Verdict(Status.UNKNOWN),
        ).to_json()
        for name, claim in (("true", TRUE), ("false", FALSE))
    ]  # fmt: skip
    content = {
        "format": 1,
        "network": {"path": "absolute.onnx", "hash": network.hash},
        "domain": {"lower": [-2.0], "upper": [2.0]},
        "preconditions": entries,
    }
    file.write_text(json.dumps(content))
    return str(model), str(file)


def test_command_prove(
    stored: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = stored
    folder = tmp_path / "proofs"
    for engine in ("bounds", "certificate"):  # the second run finds what the first one wrote
        assert main(["prove", model, file, "--budget", "600", "--certificate", str(folder)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:4] == ["true", "proved", "(exact)", engine]
        assert lines[2].split()[:3] == ["false", "refuted", "(exact)"]
        (path,) = folder.iterdir()
        assert lines[1] == f"  certificate {path}"
    assert main(["check", str(path), model]) == 0
    assert capsys.readouterr().out.endswith("valid\n")
    assert path == place(folder, Claim(load(model), TRUE.box, ANY, TRUE.property))
    assert main(["prove", model, file, "--budget", "600", "--exact", "--only", "true"]) == 0
    assert "(exact)" in capsys.readouterr().out


def test_command_prove_says_why_there_is_none(
    stored: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without = Verdict(Status.UNKNOWN, reason="proved by marabou, but no certificate: time is over")
    monkeypatch.setattr(ExactJob, "run", lambda self, ledger: without)
    assert main(["prove", *stored, "--exact", "--only", "true"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["true", "unknown"]
    assert lines[1] == "  proved by marabou, but no certificate: time is over"


QUERY = """(declare-const X_0 Real)
(declare-const Y_0 Real)
(assert (>= X_0 -2))
(assert (<= X_0 2))
(assert (or (and (>= Y_0 2.1)) (and (<= Y_0 -0.1))))
"""


@pytest.mark.slow
def test_command_verify(
    stored: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """unsat with a certificate for each part of the query."""
    query, folder = tmp_path / "query.vnnlib", tmp_path / "proofs"
    query.write_text(QUERY)
    command = ["verify", str(query), "--network", stored[0], "--timeout", "600"]
    assert main([*command, "--certificate", str(folder)]) == 0
    told = capfd.readouterr()
    assert told.out == "unsat\n"
    paths = sorted(folder.iterdir())
    assert paths
    for path in paths:
        assert f"certificate {path}" in told.err
        assert check(read_certificate(path), load(stored[0])).valid


def test_small_networks_against_z3() -> None:
    """Twenty random claims, some within rounding of the truth: what is proved exactly is true.
    ``benchmarks/trust.py --networks`` does 3,000."""
    z3 = pytest.importorskip("z3")
    rng = np.random.default_rng(11)
    certified = 0
    for _ in range(20):
        weights = rng.normal(size=(3, 2)) * 10.0 ** rng.uniform(-3, 3, (3, 1))
        last = rng.normal(size=3)
        solver, x = z3.Optimize(), [z3.Real("x0"), z3.Real("x1")]
        solver.add(*(v >= -1 for v in x), *(v <= 1 for v in x))

        def real(value: float) -> object:
            return z3.Q(*float(value).as_integer_ratio())

        rows = [sum(real(w) * v for w, v in zip(row, x, strict=True)) for row in weights]
        y = sum(real(w) * z3.If(z > 0, z, 0) for w, z in zip(last, rows, strict=True))
        least = solver.minimize(y)
        assert solver.check() == z3.sat
        exact = Fraction(str(solver.lower(least)))
        step = float(rng.choice([0, 1e-16, 1e-12, 1e-3, 0.5]))
        bound = float(exact) + float(rng.choice([-1, 1])) * step * max(1.0, abs(float(exact)))
        network = layered((weights, np.zeros(3)), (last[None], [0.0]))
        claim = Claim(network, box((-1, 1), (-1, 1)), ANY, at_least(bound, 1.0))
        on_the_edge = step < 1e-15  # may be answered by UNKNOWN, after all of its budget
        verdict = prove(claim, budget=1.0 if on_the_edge else 600.0, exact=True)
        assert on_the_edge or verdict.status is not Status.UNKNOWN
        if verdict.status is Status.PROVED:
            assert exact >= Fraction(bound)
            assert verdict.certificate is not None
            certified += 1
        elif verdict.status is Status.REFUTED:
            assert exact < Fraction(bound)
    assert certified >= 5
