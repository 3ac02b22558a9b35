"""Can a proof be handed to someone who trusts only the checker?

``--certificates``: proofs of ACAS Xu queries and of patterns of the trained networks around
held-out pictures, each with a certificate, written, read again and checked by ``precond.checker``
(python-flint; where the tree is small) and by its machine-word form.  The table gives how many
are valid, the size of a file, and the time to check relative to the time of the proof.  Then
certificates are damaged in one number or index so that they no longer prove what they state
(``tests/proof/certificate_damage.py`` says how that is known); none may be called valid.  Exit
status 1 if one is, or if a certificate is not valid.

    python benchmarks/trust.py --certificates --stride 1 --damage 1000 --out trust.json
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "proof"))

from certificate_damage import damaged  # noqa: E402

from precond.checker import check  # noqa: E402
from precond.datasets import load_dataset, split  # noqa: E402
from precond.formats.load import load  # noqa: E402
from precond.network.evaluate import outputs  # noqa: E402
from precond.proof.certificates.certify import certify  # noqa: E402
from precond.proof.certificates.data import Certificate  # noqa: E402
from precond.proof.certificates.fast import check_fast  # noqa: E402
from precond.proof.certificates.files import read_certificate, write_certificate  # noqa: E402
from precond.proof.certificates.maker import NotCertified  # noqa: E402
from precond.proof.claim import Claim  # noqa: E402
from precond.proof.prove import prove  # noqa: E402
from precond.proof.verdict import Status  # noqa: E402
from precond.property import Property  # noqa: E402
from precond.region.box import Box  # noqa: E402
from precond.region.pattern import DecisionPattern  # noqa: E402
from precond.region.signature import record  # noqa: E402
from precond.vnnlib.query import read_vnnlib  # noqa: E402

ACAS = ROOT.parent / "shared" / "data" / "acasxu"
MODELS = {"digits-mlp": "digits", "mnist-mlp": "mnist-5k"}
PLAIN = 12  # leaves that python-flint checks here as well


@dataclass(frozen=True)
class Row:
    """One proof: seconds of the proof, of making its certificate, of both checks."""

    family: str
    name: str
    engine: str
    prove: float
    certify: float
    check: float
    plain: float | None
    size: int
    leaves: int
    valid: bool
    why: str = ""


def acas(stride: int) -> Iterator[tuple[str, Claim]]:
    """Every ``stride``-th query of the ACAS Xu properties."""
    if not ACAS.exists():
        return
    with (ACAS / "instances.csv").open() as lines:
        queries = [(model, prop) for model, prop, _ in csv.reader(lines)]
    for model, prop in queries[::stride]:
        query = read_vnnlib(ACAS / prop, load(ACAS / model))
        for claim in query.claims:
            yield (
                f"{model.split('_')[2]}-{model.split('_')[3]} {prop.removesuffix('.vnnlib')}",
                claim,
            )


def patterns(model: str, rows: int) -> Iterator[tuple[str, str, Claim]]:
    """Around held-out pictures: the whole signature (an input precondition) in a ball of 0.1,
    the first layer's phases in one of 0.03, the last layer's in one of 0.02."""
    network = load(ROOT / "models" / f"{model}.onnx")
    data = load_dataset(MODELS[model])
    _, held_out = split(data, 0.2, seed=0)
    pictures = data.inputs[held_out[:rows]].reshape(rows, -1).astype(np.float64)
    signatures = record(network, pictures)
    layers = network.decision_layers
    for k, x in enumerate(pictures):
        label = int(outputs(network, x[None])[0].argmax())
        prop = Property.argmax(label, network.output_size)
        domain = Box.uniform(x.size, 0.0, 1.0)
        for family, chosen, radius in (
            ("input precondition, ball 0.1", layers, 0.1),
            ("first layer, ball 0.03", layers[:1], 0.03),
            ("last layer, ball 0.02", layers[-1:], 0.02),
        ):
            pattern = DecisionPattern.of_row(signatures, k, chosen)
            yield family, f"picture {k}", Claim(network, Box.ball(x, radius, domain), pattern, prop)


def measure(
    family: str, name: str, claim: Claim, budget: float, path: Path
) -> tuple[Row, Certificate | None] | None:
    """None where there is no proof to certify."""
    begun = time.perf_counter()
    verdict = prove(claim, budget=budget, keep_trace=True)
    proof = time.perf_counter() - begun
    if verdict.status not in (Status.PROVED, Status.VACUOUS):
        return None
    begun = time.perf_counter()
    try:
        made = certify(claim, verdict, 20 + 10 * proof)
    except NotCertified as error:
        took = time.perf_counter() - begun
        return Row(
            family, name, verdict.engine, proof, took, 0.0, None, 0, 0, False, str(error)
        ), None
    took = time.perf_counter() - begun
    size = write_certificate(made, path)
    leaves = sum(len(tree.weights) for tree in made.trees)
    begun = time.perf_counter()
    result = (check_fast if made.bits else check)(read_certificate(path), claim.network)
    checked = time.perf_counter() - begun
    plain = None
    if leaves <= PLAIN:
        begun = time.perf_counter()
        slow = check(made, claim.network)
        plain = time.perf_counter() - begun
        result = result if slow.valid else slow
    return (
        Row(
            family, name, verdict.engine, proof, took, checked, plain, size, leaves,
            result.valid, result.where,
        ),
        made,
    )  # fmt: skip


def damage(
    made: list[tuple[Claim, Certificate]], count: int, seed: int
) -> tuple[Counter[str], list[str]]:
    """How many changes of each kind were made, and those that were called valid."""
    rng = np.random.default_rng(seed)
    kinds: Counter[str] = Counter()
    wrong = []
    for k in range(count):
        claim, certificate = made[k % len(made)]
        box = claim.box
        points = box.lower + box.width * rng.uniform(size=(8, box.size))
        kind, changed = next(damaged(certificate, claim.network, points, rng))
        kinds[kind] += 1
        if check_fast(changed, claim.network).valid:
            wrong.append(kind)
    return kinds, wrong


def certificates(chosen: argparse.Namespace) -> int:
    rows: list[Row] = []
    made: list[tuple[Claim, Certificate]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof"
        claims = [("ACAS Xu", name, claim) for name, claim in acas(chosen.stride)]
        for model in MODELS:
            claims += [(f"{model}, {f}", n, c) for f, n, c in patterns(model, chosen.pictures)]
        for family, name, claim in claims:
            found = measure(family, name, claim, chosen.budget, path)
            if found is None:
                continue
            rows.append(found[0])
            if not found[0].valid:
                print(f"not certified: {family} {name}: {found[0].why}", flush=True)
            elif found[1] is not None and found[0].leaves <= 300:
                made.append((claim, found[1]))
    table(rows)
    kinds, wrong = damage(made, chosen.damage, chosen.seed)
    print(f"\ndamaged certificates: {sum(kinds.values())}, called valid: {len(wrong)} {wrong}")
    print(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    if chosen.out is not None:
        result = {
            "rows": [asdict(row) for row in rows],
            "damage": dict(kinds),
            "damage called valid": wrong,
        }
        chosen.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 1 if wrong or not all(row.valid for row in rows) else 0


def table(rows: list[Row]) -> None:
    print(
        f"{'family':<44} {'proofs':>6} {'valid':>6} {'bytes':>8} {'leaves':>7} "
        f"{'check/proof':>20} {'flint/proof':>12} {'made/proof':>11}"
    )
    families = list(dict.fromkeys(row.family for row in rows))
    for family in [*families, "all"]:
        some = [row for row in rows if family in (row.family, "all")]
        good = [row for row in some if row.valid]
        if not good:
            continue
        ratio = np.array([row.check / row.prove for row in good])
        slow = [row.plain / row.prove for row in good if row.plain is not None]
        quarters = np.quantile(ratio, [0.5, 0.9])
        print(
            f"{family:<44} {len(some):>6} {len(good):>6} "
            f"{int(np.median([row.size for row in good])):>8} "
            f"{int(np.median([row.leaves for row in good])):>7} "
            f"{quarters[0]:>8.2f} (90 %: {quarters[1]:4.1f}) "
            f"{np.median(slow) if slow else float('nan'):>12.2f} "
            f"{np.median([row.certify / row.prove for row in good]):>11.2f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--certificates", action="store_true", required=True)
    parser.add_argument("--stride", type=int, default=1, help="every n-th ACAS Xu query")
    parser.add_argument("--pictures", type=int, default=30, help="held-out pictures of a model")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for a proof")
    parser.add_argument("--damage", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    torch.set_num_threads(1)
    return certificates(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
