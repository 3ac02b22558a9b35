"""Certificates of proofs: made from traces, written, read, checked, and damaged."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificate_damage import claim_of, damaged
from certificate_damage_proof import altered, small_certificates, still_follows
from clocks import HANG
from small_networks import ABSOLUTE, below, layered, mixed, random_net

from precond.checker.certificate import SPLIT, Certificate
from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.checker.files import MAGIC, read_certificate, write_certificate
from precond.cli import main
from precond.errors import DataError
from precond.formats.load import load
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.certificates.certify import certify, exact_verdict, statement_of
from precond.proof.certificates.mending import NotCertified
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.prover.prove import prove
from precond.proof.trace import InputSplit, Leaf, PhaseSplit
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

MODELS = Path(__file__).parents[2] / "models"
PROVED = Verdict(Status.PROVED, "by hand")


def predicted(network: Network, x: np.ndarray) -> Property:
    """The class that the network gives x."""
    return Property.argmax(int(outputs(network, x[None])[0].argmax()), network.output_size)


def ball(network: Network, x: np.ndarray, radius: float, **more: Any) -> Claim:
    pattern = more.get("pattern", DecisionPattern())
    half = more.get("half")
    return Claim(network, Box.ball(x, radius), pattern, predicted(network, x), half)


def sure(network: Network, rng: np.random.Generator) -> np.ndarray:
    """Of 300 inputs the one whose best output leads most."""
    x = rng.uniform(-1, 1, (300, network.input_size))
    ordered = np.sort(outputs(network, x), axis=1)
    return x[int((ordered[:, -1] - ordered[:, -2]).argmax())]


def claims() -> dict[str, Claim]:
    rng = np.random.default_rng(7)
    plain = random_net(rng, 3, 8, 8, 3)
    leaky = random_net(rng, 3, 8, 8, 3, slope=0.1)
    image = mixed(rng)
    x, y, z = (sure(network, rng) for network in (plain, leaky, image))
    off = DecisionPattern(off=frozenset({("relu0", 0)}))
    signature = DecisionPattern.of_row(record(plain, x[None]), 0)
    near = HalfSpaces(np.concatenate([np.eye(3), -np.eye(3)]), np.concatenate([x, -x]) + 0.05)
    wide = 10.0 ** rng.uniform(-12, 12, (2, 6))
    scaled = layered(
        (1 / wide.mean() * rng.normal(size=(6, 3)), rng.normal(size=6)),
        (wide * rng.normal(size=(2, 6)), rng.normal(size=2)),
    )
    least = float(outputs(scaled, rng.uniform(-1, 1, (500, 3)))[:, 0].min())
    low = Property(((Inequality(((0, 1.0),), 3 * least - 1),),))
    unit = Box.uniform(1, -1, 1)
    high = Inequality(((0, 1.0),), 1e3)
    return {
        "ball": ball(plain, x, 0.1),
        "pattern": Claim(plain, Box.uniform(3, -1, 1), signature, predicted(plain, x)),
        "leaky": ball(leaky, y, 0.02),
        "every layer kind": ball(image, z, 0.02),
        "half-spaces": ball(plain, x, 1.0, half=near),
        "input terms": Claim(
            ABSOLUTE,
            unit,
            DecisionPattern(),
            Property(((Inequality(((0, 1.0),), -0.1, inputs=((0, 1.0),)),),)),
        ),
        "vacuous": Claim(ABSOLUTE, Box.uniform(1, 0.5, 1), off, below(0, 7.0)),
        "equality": Claim(
            ABSOLUTE, unit, DecisionPattern(), Property(((Inequality(((0, 1.0),), 0.0),),))
        ),
        "badly scaled": Claim(scaled, Box.uniform(3, -1, 1), DecisionPattern(), low),
        "clauses with or": Claim(
            plain,
            Box.ball(x, 0.1),
            DecisionPattern(),
            predicted(plain, x) & Property(((high, *below(0, 1e3).clauses[0]),)),
        ),
    }


CLAIMS = claims()


@pytest.fixture(scope="module")
def certificates() -> dict[str, Certificate]:
    made = {}
    for name, claim in CLAIMS.items():
        by_hand = name in ("equality", "badly scaled")  # no trace: what z3 proved has none
        verdict = PROVED if by_hand else prove(claim, budget=600, keep_trace=True)
        made[name] = certify(claim, verdict, 20)
    return made


@pytest.mark.parametrize("name", CLAIMS)
def test_proofs_are_certified(
    name: str, certificates: dict[str, Certificate], tmp_path: Path
) -> None:
    claim, made = CLAIMS[name], certificates[name]
    size = write_certificate(made, tmp_path / "proof")
    read = read_certificate(tmp_path / "proof")
    assert size == (tmp_path / "proof").stat().st_size < 20_000
    assert check(read, claim.network).valid
    assert not made.bits or check_fast(read, claim.network).valid
    stated = claim_of(read.statement, claim.network)
    assert stated.problem.conjuncts == claim.problem.conjuncts or read.statement.vacuous
    assert np.array_equal(stated.box.lower, claim.box.lower)
    assert stated.problem.intervals.keys() == claim.problem.intervals.keys()


def test_the_long_form_is_used_only_where_it_must_be(certificates: dict[str, Certificate]) -> None:
    long = {name for name, made in certificates.items() if not made.bits}
    assert "equality" in long
    assert long <= {"equality", "badly scaled"}


def test_without_traces_a_proof_is_found_again() -> None:
    claim = CLAIMS["ball"]
    made = certify(claim, PROVED, 20)
    assert check(made, claim.network).valid


def test_traces_of_both_kinds_of_splits() -> None:
    """|x| ≤ 1.2 with the splits given by hand, one of them needless."""
    claim = Claim(ABSOLUTE, Box.uniform(1, -1, 1), DecisionPattern(), below(0, 1.2))
    inner = PhaseSplit("relu0", 1, Leaf(), Leaf())
    trace = InputSplit(0, 0.25, inner, Leaf())
    made = certify(claim, replace(PROVED, traces={0: trace}), 20)
    assert (made.trees[0].kind & SPLIT).tolist() == [1, 1, 0, 0, 0]
    assert made.trees[0].at.tolist() == [0.25, 0.0]
    assert check(made, ABSOLUTE).valid


def test_false_claims_get_no_certificate() -> None:
    """|x| < 0.5 on [−1, 1], said to be proved by a wrong engine."""
    claim = Claim(ABSOLUTE, Box.uniform(1, -1, 1), DecisionPattern(), below(0, 0.5))
    with pytest.raises(NotCertified):
        certify(claim, PROVED, 1)
    verdict = exact_verdict(claim, PROVED, 1)
    assert (verdict.status, verdict.exact) == (Status.UNKNOWN, False)
    assert verdict.certificate is None
    assert "proved by by hand, but no certificate" in verdict.reason
    refuted = Verdict(Status.REFUTED, exact=True)
    assert exact_verdict(claim, refuted) is refuted


def test_exact_verdict_keeps_what_it_certifies() -> None:
    claim = CLAIMS["ball"]
    verdict = exact_verdict(claim, prove(claim, budget=600, keep_trace=True), 20)
    assert verdict.exact
    assert verdict.confirmed
    assert verdict.status is Status.PROVED
    assert verdict.certificate is not None


@pytest.mark.parametrize("model", ["digits-mlp", "mnist-mlp"])
def test_patterns_of_trained_networks(model: str) -> None:
    """The phases of a random picture's first layer imply its class in a small ball."""
    network = load(MODELS / f"{model}.onnx")
    x = np.random.default_rng(5).uniform(0.2, 0.8, network.input_size)
    first = DecisionPattern.of_row(record(network, x[None]), 0, network.decision_layers[:1])
    claim = ball(network, x, 0.003, pattern=first)
    verdict = prove(claim, budget=600, keep_trace=True)
    assert verdict.status is Status.PROVED
    made = certify(claim, verdict, 20)
    assert check_fast(made, network).valid
    assert check(made, network).valid


def test_damage_is_never_valid(certificates: dict[str, Certificate]) -> None:
    """40 changes to each, 400 in all, by both checkers."""
    rng = np.random.default_rng(0)
    kinds = set()
    for name, made in certificates.items():
        claim = CLAIMS[name]
        points = claim.box.lower + claim.box.width * rng.uniform(size=(30, claim.box.size))
        stream = damaged(made, claim.network, points, rng)
        for _ in range(40):
            kind, changed = next(stream)
            kinds.add(kind)
            assert not check(changed, claim.network).valid, (name, kind)
            assert not check_fast(changed, claim.network).valid, (name, kind)
    assert len(kinds) >= 14, kinds


def test_a_proof_that_no_longer_holds_is_refused() -> None:
    """Changes of the proof alone: what fractions, rounded nowhere, say is no proof is refused by
    both checkers, and what they say is one, python-flint accepts."""
    rng = np.random.default_rng(0)
    counts = {True: 0, False: 0}
    for claim, made in small_certificates(rng, 3):
        assert still_follows(made, claim.network)
        stream = altered(made, rng)
        for _ in range(14):
            kind, changed = next(stream)
            follows = still_follows(changed, claim.network)
            if follows is None:
                continue
            counts[follows] += 1
            assert check(changed, claim.network).valid is follows, kind
            assert follows or not check_fast(changed, claim.network).valid, kind
    assert min(counts.values()) >= 8, counts


def test_a_changed_network_is_another(certificates: dict[str, Certificate]) -> None:
    claim = CLAIMS["ball"]
    other = random_net(np.random.default_rng(8), 3, 8, 8, 3)
    assert "another network" in check(certificates["ball"], other).where
    assert check(certificates["ball"], claim.network).valid


def broken_files(good: bytes, rng: np.random.Generator) -> dict[str, bytes]:
    """Damaged files, most of them with a digest that fits."""

    def sealed(body: bytes) -> bytes:
        return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    body = good[len(MAGIC) + 65 :]
    head, _, packed = body.partition(b"\n")
    header = json.loads(head)

    def with_header(**changed: object) -> bytes:
        return sealed(json.dumps({**header, **changed}).encode() + b"\n" + packed)

    def array(name: str, kind: str, shape: list[int]) -> bytes:
        listed = [[name, kind, shape] if a[0] == name else a for a in header["arrays"]]
        return with_header(arrays=listed)

    found = {
        "empty": b"",
        "text": b"hello\n",
        "only the beginning": MAGIC,
        "huge dimensions": array("lower", "<f8", [2**40]),
        "negative dimension": array("lower", "<f8", [-1]),
        "overflowing product": array("lower", "<f8", [2**62, 4]),
        "object type": array("lower", "|O", [3]),
        "dimension as text": array("lower", "<f8", "3"),  # type: ignore[arg-type]  # on purpose
        "arrays swapped": with_header(arrays=header["arrays"][::-1]),
        "no arrays": with_header(arrays=[]),
        "deep JSON": sealed(b"[" * 200_000 + b"\n" + packed),
        "NaN in JSON": sealed(head.replace(b'"bits": 27', b'"bits": NaN') + b"\n" + packed),
        "bits as text": with_header(bits="27"),
        "bits out of range": with_header(bits=31),
        "negative bits": with_header(bits=-5),
        "trees of trees": with_header(trees=[[[0]]]),
        "tree of nothing": with_header(trees=[[99]]),
        "clauses as number": with_header(clauses=7),
        "literal of no layer": with_header(literals=[["nowhere", 0, True, 0.0]]),
        "literal index": with_header(literals=[["relu0", 99, True, 0.0]]),
        "a bomb": sealed(head + b"\n" + zlib.compress(bytes(50_000_000))),
        "no stream": sealed(head + b"\n" + b"not zlib at all"),
        "no header": sealed(b"\n" + packed),
        "columns": with_header(columns=3),
    }
    for k in range(20):
        place = int(rng.integers(len(good)))
        found[f"cut at {place}"] = good[:place]
        flipped = bytearray(good)
        flipped[int(rng.integers(len(good)))] ^= 1 << int(rng.integers(8))
        found[f"bit {k} flipped"] = bytes(flipped)
        inner = bytearray(body)
        inner[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
        found[f"bit {k} flipped and sealed"] = sealed(bytes(inner))
    return found


def test_broken_files_are_one_clear_error(
    certificates: dict[str, Certificate], tmp_path: Path
) -> None:
    path = tmp_path / "proof"
    write_certificate(certificates["ball"], path)
    network = CLAIMS["ball"].network
    good = claim_of(certificates["ball"].statement, network).key
    for name, content in broken_files(path.read_bytes(), np.random.default_rng(1)).items():
        path.write_bytes(content)
        begun = time.monotonic()
        try:
            made = read_certificate(path)
        except DataError as error:
            assert "certificate" in str(error), name
            assert len(str(error).splitlines()) == 1
        else:  # a changed number or name that can be read: never another claim called valid
            if check(made, network).valid:
                assert claim_of(made.statement, network).key == good, name
        assert time.monotonic() - begun < HANG, name


def test_a_statement_names_no_place() -> None:
    """The model is known by the hash of its content and, for people, a file's name."""
    network = load(MODELS / "digits-mlp.onnx")
    x = np.random.default_rng(5).uniform(0.2, 0.8, network.input_size)
    stated = statement_of(ball(network, x, 0.003))
    assert (stated.network, stated.origin) == (network.hash, "digits-mlp.onnx")


def test_a_missing_file() -> None:
    with pytest.raises(DataError, match="certificate nowhere: expected a file"):
        read_certificate("nowhere")


def test_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load(MODELS / "digits-mlp.onnx")
    x = np.random.default_rng(5).uniform(0.2, 0.8, network.input_size)
    claim = ball(network, x, 0.003)
    write_certificate(certify(claim, prove(claim, budget=600, keep_trace=True)), tmp_path / "proof")
    arguments = ["check", str(tmp_path / "proof")]
    for extra in ([], ["--fast"]):
        assert main([*arguments, str(MODELS / "digits-mlp.onnx"), *extra]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[-1] == "valid"
        assert shown[0].startswith(f"network {network.hash}")
        assert "more lines" in shown[-2]
    assert main([*arguments, str(MODELS / "digits-mlp.onnx"), "--statement"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 64
    assert main([*arguments, str(MODELS / "mnist-mlp.onnx")]) == 1
    assert "not valid: the certificate is about another network" in capsys.readouterr().out
    monkeypatch.setattr("precond.commands.check.LARGE", 64)
    assert main([*arguments, str(MODELS / "digits-mlp.onnx")]) == 2
    assert "Check with --fast" in capsys.readouterr().err
    (tmp_path / "proof").write_bytes(b"damaged")
    assert main([*arguments, str(MODELS / "digits-mlp.onnx")]) == 2
    assert "precond: certificate" in capsys.readouterr().err
