"""Claims in parts: the parts leave nothing out, and say together what the claim would alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE
from test_query import net

from precond.cli import main
from precond.errors import QueryError
from precond.formats.onnx.writer import write_onnx
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.deadline import FOREVER
from precond.proof.prover.parts import claim_parts, joined
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.vnnlib import divided
from precond.vnnlib.read import parse_vnnlib
from precond.vnnlib.solution import solve
from precond.vnnlib.standard import Result
from precond.workers.pool import InProcess, Job, R, open_pool

HEAD = "".join(f"(declare-const {n} Real)" for n in ("X_0", "X_1", "Y_0", "Y_1"))
REGION = "(assert (and (<= -2 X_0 2) (<= -2 X_1 2)))"


def random_claim(seed: int, inputs: int = 2) -> Claim:
    rng = np.random.default_rng(seed)
    clauses = tuple(
        (Inequality(((k, -1.0),), -float(rng.uniform(8, 14)), strict=True),) for k in range(2)
    )
    box = Box.uniform(inputs, -2.0, 1.0 + float(rng.uniform(0, 1)))
    return Claim(net(inputs), box, DecisionPattern(), Property(clauses))


def split(claim: Claim, least: int) -> list[Claim]:
    return claim_parts(claim, least, FOREVER, execution=Arithmetic.REAL)


@pytest.mark.parametrize("seed", range(6))
def test_parts_leave_no_violation_out(seed: int) -> None:
    """Every sampled violation of the claim is one of an open part."""
    claim = random_claim(seed)
    parts = split(claim, 16)
    rng = np.random.default_rng(seed)
    x = rng.uniform(claim.box.lower, claim.box.upper, (2000, 2))
    y = np.maximum(x + 1, 0) @ np.array([[1.0, 3.0], [2.0, 4.0]])
    broken = ~claim.property.holds(y, x)
    covered = np.zeros(len(x), dtype=bool)
    for part in parts:
        covered |= part.box.contains(x) & ~part.property.holds(y, x)
    assert (covered == broken).all()


def test_a_box_is_cut_where_it_matters() -> None:
    """y0 = relu(x0 + 1) + 2 relu(x1 + 1) on [0, 1]²: the second input matters twice as much until
    it was cut once; the boxes fill the square."""
    clause = (Inequality(((0, -1.0),), -4.0, strict=True),)
    claim = Claim(net(2), Box.uniform(2, 0.0, 1.0), DecisionPattern(), Property((clause,)))
    assert [part.box.upper.tolist() for part in split(claim, 2)] == [[1.0, 0.5], [1.0, 1.0]]
    parts = split(claim, 16)
    assert len(parts) == 16
    assert sum(float(np.prod(part.box.width)) for part in parts) == 1.0


def test_what_cannot_be_cut_is_divided_by_clauses() -> None:
    claim = random_claim(0)
    half = replace(claim, halfspaces=HalfSpaces(np.array([[1.0, 1.0]]), np.array([1.0])))
    on = replace(claim, pattern=DecisionPattern(frozenset({("relu", 0)})))
    wide = random_claim(0, inputs=30)
    for one in (half, on, wide):
        parts = split(one, 16)
        assert [part.property.clauses for part in parts] == [
            (clause,) for clause in one.property.clauses
        ]
        assert all(part.box is one.box for part in parts)


def test_joined_is_as_good_as_its_worst_part() -> None:
    real, floats = Arithmetic.REAL, Arithmetic.FLOAT32
    proved = Verdict(Status.PROVED, "input-split", holds_in=floats.covers)
    assert joined([proved, proved], floats).holds_in == floats.covers
    assert joined([], real).is_proved
    assert joined([proved, replace(proved, confirmed=False)], real).confirmed is False
    assert joined([proved, replace(proved, holds_in=real.covers)], floats).holds_in == {real}
    for status in (Status.UNKNOWN, Status.REFUTED, Status.EMPIRICAL):
        assert joined([proved, Verdict(status)], real).status is Status.UNKNOWN


@pytest.mark.parametrize(("limit", "result"), [(9.5, Result.UNSAT), (8.5, Result.SAT)])
def test_two_workers_say_the_same(limit: float, result: Result) -> None:
    """y0 is at most 9 and y1 at most 21 on [−2, 2]²."""
    text = f"{HEAD}{REGION}(assert (or (>= Y_0 {limit}) (>= Y_1 21.5)))"
    query = parse_vnnlib(text, net(2))
    alone = solve(query, FOREVER)
    with open_pool(2) as pool:
        both = solve(query, FOREVER, pool=pool)
    assert alone.result is both.result is result
    assert both.witness is None or query.admits(both.witness)


def test_a_large_network_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part would bound all its layers anew."""
    claims = [random_claim(0), random_claim(1)]
    drawn: list[int] = []

    class Counted(InProcess):
        def map(self, jobs: Iterable[Job[R]], done: object = None) -> list[R]:
            results = super().map(jobs)
            drawn.append(len(results))
            return results

    def never(number: int, verdict: Verdict) -> None:
        raise AssertionError((number, verdict))

    for large in (10_000, 1):
        monkeypatch.setattr(divided, "LARGE", large)
        divided.prove_parts(Counted(), claims, FOREVER, divided.PartSettings(), never)
    assert drawn == [8, 2]


def test_certificates_take_no_pool() -> None:
    query = parse_vnnlib(f"{HEAD}{REGION}(assert (>= Y_0 9.5))", net(2))
    with open_pool(1) as pool, pytest.raises(QueryError, match="certificate"):
        solve(query, FOREVER, exact=True, pool=pool)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, query = tmp_path / "absolute.onnx", tmp_path / "two.vnnlib"
    write_onnx(ABSOLUTE, model)
    query.write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (and (<= -1 X_0 1) (>= Y_0 1.01)))"
    )
    ask = ["verify", str(query), "--network", str(model), "--workers", "2"]
    assert main(ask) == 0
    assert capsys.readouterr().out == "unsat\n"
    assert main([*ask, "--exact"]) == 2
    assert "--workers" in capsys.readouterr().err
