"""Proofs of trained networks with certificates: how many are valid, how large, how dear to check.

Families: ACAS Xu queries, and the same with the first layer's phases at the middle of the box;
for ``digits-mlp`` and ``mnist-mlp`` patterns around held-out pictures (the whole signature in a
ball of 0.1, the first layer's phases in one of 0.03, the last layer's in one of 0.02) that imply
the class; and whole signatures over all of [0, 1]^n that imply that the class beats its least
rival.  A claim that is not proved within the budget is left out.

Seconds are CPU seconds of this process.  Every certificate is written, read again and checked
in machine words; by python-flint too where it has at most ``PLAIN`` leaves.  Damage: see
``tests/proof/certificate_damage.py`` for how it is known that a claim no longer follows; each
changed certificate goes to both checkers (python-flint where leaves are few).
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "proof"))

from certificate_damage import claim_of, damaged

from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.checker.files import read_certificate, write_certificate
from precond.data.datasets import load_dataset, split
from precond.formats.load import load
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.certificates.certify import certify
from precond.proof.certificates.mending import NotCertified
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.vnnlib.read import read_vnnlib

ROOT = Path(__file__).parents[1]
ACAS = ROOT.parent / "shared" / "data" / "acasxu"
MODELS = {"digits-mlp": "digits", "mnist-mlp": "mnist-5k"}
PLAIN = 12  # leaves that python-flint checks here as well
PLAIN_DAMAGED, MOST_DAMAGED = 4, 300  # leaves, in the damage
MODELS_AT = ROOT / "models"
T = TypeVar("T")
Named = tuple[str, str, str, Callable[[Network], Claim]]  # family, name, model file, claim


@dataclass(frozen=True)
class Row:
    """One proof: CPU seconds of the proof, of making its certificate, of both checks (and the
    proof's wall time); ``status`` of the claim; ``size`` in bytes."""

    family: str
    name: str
    model: str
    status: str
    engine: str = ""
    prove: float = 0.0
    wall: float = 0.0
    certify: float = 0.0
    check: float = 0.0
    plain: float | None = None
    size: int = 0
    leaves: int = 0
    valid: bool = False
    why: str = ""


def acas(stride: int) -> Iterator[Named]:
    """Every ``stride``-th query, whole and with the first layer's phases."""
    if not ACAS.exists():
        return
    with (ACAS / "instances.csv").open() as lines:
        queries = [(model, prop) for model, prop, _ in csv.reader(lines)]

    def whole(network: Network, prop: str, part: int) -> Claim:
        return read_vnnlib(ACAS / prop, network).claims[part]

    def phases(network: Network, prop: str) -> Claim:
        claim = whole(network, prop, 0)
        middle = (claim.box.lower + claim.box.upper)[None] / 2
        pattern = DecisionPattern.of_row(record(network, middle), 0, network.decision_layers[:1])
        return Claim(network, claim.box, pattern, claim.property, claim.halfspaces)

    for model, prop in queries[::stride]:
        name = f"{'-'.join(model.split('_')[2:4])} {prop.removesuffix('.vnnlib')}"
        for part in range(len(read_vnnlib(ACAS / prop, load(ACAS / model)).claims)):
            place = str(ACAS / model)
            yield (
                "ACAS Xu queries", f"{name} {part}", place,
                lambda network, prop=prop, part=part: whole(network, prop, part),
            )  # fmt: skip
        yield (
            "ACAS Xu, first layer's phases", name, place,
            lambda network, prop=prop: phases(network, prop),
        )  # fmt: skip


def patterns(model: str, rows: int) -> Iterator[Named]:
    """Around held-out pictures."""
    place = str(MODELS_AT / f"{model}.onnx")
    data = load_dataset(MODELS[model])
    _, held_out = split(data, 0.2, seed=0)
    pictures = data.inputs[held_out[:rows]].reshape(rows, -1).astype(np.float64)

    def claim(network: Network, x: np.ndarray, layers: slice, radius: float | None) -> Claim:
        chosen = network.decision_layers[layers]
        pattern = DecisionPattern.of_row(record(network, x[None]), 0, chosen)
        unit = Box.uniform(x.size, 0.0, 1.0)
        y = outputs(network, x[None])[0]
        if radius is not None:
            prop = Property.argmax(int(y.argmax()), network.output_size)
            return Claim(network, Box.ball(x, radius, unit), pattern, prop)
        terms = ((int(y.argmax()), 1.0), (int(y.argmin()), -1.0))
        return Claim(network, unit, pattern, Property(((Inequality(terms, 0.0, strict=True),),)))

    for k, x in enumerate(pictures):
        for family, layers, radius in (
            ("input precondition, ball 0.1", slice(None), 0.1),
            ("first layer's phases, ball 0.03", slice(1), 0.03),
            ("last layer's phases, ball 0.02", slice(-1, None), 0.02),
            ("signature, all of [0, 1]^n", slice(None), None),
        ):
            yield (
                f"{model}, {family}", f"picture {k}", place,
                lambda network, x=x, layers=layers, radius=radius: claim(
                    network, x, layers, radius
                ),
            )  # fmt: skip


def timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.process_time()
    found = work()
    return found, time.process_time() - begun


def measure(family: str, name: str, claim: Claim, budget: float, path: Path) -> Row:
    """Prove, certify, write to ``path``, check."""
    model = Path(claim.network.origin).name
    begun = time.perf_counter()
    verdict, proof = timed(lambda: prove(claim, budget=budget, keep_trace=True))
    wall = time.perf_counter() - begun
    said = (family, name, model, verdict.status.value, verdict.engine, proof, wall)
    if verdict.status not in (Status.PROVED, Status.VACUOUS):
        return Row(*said)
    try:
        made, took = timed(lambda: certify(claim, verdict, 20 + 5 * budget))
    except NotCertified as error:
        return Row(*said, why=str(error))
    size = write_certificate(made, path)
    leaves = sum(len(tree.weights) for tree in made.trees)
    judge = check_fast if made.bits else check
    result, checked = timed(lambda: judge(read_certificate(path), claim.network))
    plain = None
    if leaves <= PLAIN:
        slow, plain = timed(lambda: check(read_certificate(path), claim.network))
        result = result if slow.valid else slow
    return Row(*said, took, checked, plain, size, leaves, result.valid, result.where)


def certificates(
    out: Path | None,
    *,
    stride: int,
    pictures: int,
    budget: float,
    seconds: float,
    changes: int,
    seed: int,
) -> int:
    """The table and the damage; exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if out is None else out
        folder.mkdir(parents=True, exist_ok=True)
        rows = _run(folder, stride, pictures, budget, seconds)
        table(list(rows.values()))
        wrong = damage(folder, rows, changes, seed)
    bad = [row for row in rows.values() if row.status == "proved" and row.size and not row.valid]
    return 1 if wrong or bad else 0


def _run(folder: Path, stride: int, pictures: int, budget: float, seconds: float) -> dict[int, Row]:
    """Rows by number; those of an earlier run are taken from ``folder``."""
    kept = folder / "rows.jsonl"
    rows: dict[int, Row] = {}
    if kept.exists():
        for line in kept.read_text(encoding="utf-8").splitlines():
            number, fields = json.loads(line)
            rows[number] = Row(**fields)
    begun = time.monotonic()
    claims = [*acas(stride), *(named for model in MODELS for named in patterns(model, pictures))]
    networks: dict[str, Network] = {}
    for number, (family, name, model, claim) in enumerate(claims):
        if number in rows:
            continue
        if time.monotonic() - begun > seconds:
            print(f"stopped after {seconds:g} s: {len(rows)} of {len(claims)} claims")
            break
        if model not in networks:
            networks[model] = load(model)
        made = claim(networks[model])
        rows[number] = measure(family, name, made, budget, folder / f"{number}.certificate")
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps([number, asdict(rows[number])]) + "\n")
        if rows[number].why:
            print(f"not certified: {family}, {name}: {rows[number].why}", flush=True)
        if len(rows) % 25 == 0:
            valid = sum(r.valid for r in rows.values())
            print(f"{len(rows)} of {len(claims)} claims, {valid} certificates", flush=True)
    return rows


def damage(folder: Path, rows: dict[int, Row], changes: int, seed: int) -> list[str]:
    """Change certificates one after another; the kinds of change that were called valid."""
    rng = np.random.default_rng(seed)
    some = [n for n, row in rows.items() if row.valid and row.leaves <= MOST_DAMAGED]
    networks: dict[str, Network] = {}
    kinds: Counter[str] = Counter()
    wrong: list[str] = []
    by_flint = 0
    for k in range(changes if some else 0):
        number = some[k % len(some)]
        model = rows[number].model
        if model not in networks:
            networks[model] = load((ACAS if model.startswith("ACASXU") else MODELS_AT) / model)
        network = networks[model]
        made = read_certificate(folder / f"{number}.certificate")
        box = claim_of(made.statement, network).box
        points = box.lower + box.width * rng.uniform(size=(8, box.size))
        kind, changed = next(damaged(made, network, points, rng))
        kinds[kind] += 1
        judges = [check_fast] if made.bits else [check]
        if rows[number].leaves <= PLAIN_DAMAGED:
            judges, by_flint = [check_fast, check], by_flint + 1
        wrong += [f"{number} {kind}" for judge in judges if judge(changed, network).valid]
        if (k + 1) % 200 == 0:
            print(f"{k + 1} damaged certificates, {len(wrong)} called valid", flush=True)
    print(
        f"\ndamaged certificates: {sum(kinds.values())} (python-flint saw {by_flint}), "
        f"called valid: {len(wrong)} {wrong}"
    )
    print(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    return wrong


def table(rows: list[Row]) -> None:
    """Ratios are CPU seconds over those of the proof: the median, and all of them together."""
    asked = Counter(row.family for row in rows)
    print(
        f"{'family':<46}{'claims':>7}{'proofs':>7}{'valid':>6}{'KB, median':>11}{'largest':>8}"
        f"{'leaves':>7}{'words / proof':>15}{'flint / proof':>15}{'made / proof':>14}"
    )
    for family in [*asked, "all"]:
        some = [row for row in rows if family in (row.family, "all")]
        proved = [row for row in some if row.status in ("proved", "vacuous")]
        good = [row for row in proved if row.valid]
        if not good:
            print(f"{family:<46}{len(some):>7}{len(proved):>7}{0:>6}")
            continue
        sizes = np.array([row.size for row in good]) / 1000
        plain = [row for row in good if row.plain is not None]
        print(
            f"{family:<46}{len(some):>7}{len(proved):>7}{len(good):>6}"
            f"{np.median(sizes):>11.1f}{sizes.max():>8.1f}"
            f"{int(np.median([row.leaves for row in good])):>7}"
            f"{_ratio(good, lambda r: r.check):>15}{_ratio(plain, lambda r: r.plain or 0.0):>15}"
            f"{_ratio(good, lambda r: r.certify):>14}"
        )
    engines = Counter(row.engine for row in rows if row.status in ("proved", "vacuous"))
    print(
        f"closed last by: {dict(engines)}; python-flint checked "
        f"{sum(row.plain is not None for row in rows)} of them"
    )


def _ratio(rows: list[Row], part: Callable[[Row], float]) -> str:
    if not rows:
        return "–"
    each = np.median([part(row) / row.prove for row in rows])
    return f"{each:.2f}, {sum(map(part, rows)) / sum(row.prove for row in rows):.2f}"
