"""Proofs of small networks with one number or index changed: is any taken for a proof?

A change of a multiplier, a weight, a split, a record's index or a frame may leave a proof that
still holds.  ``tests/proof/certificate_oracle.py`` works that out in fractions, without any
rounding and without the checkers' code; counted are changes after which a leaf is no longer a
contradiction, until there are ``--damage`` of them.  Exit status 1 if a checker accepts one.

    python benchmarks/trust_altered.py --damage 1000 --out altered.json
    python benchmarks/trust_altered.py --steps --damage 40
    python benchmarks/trust_altered.py --multipliers --damage 500 --out multipliers.json

``--steps``: proofs by ``tighten-split``, whose rounds of steps are changed too.  ``--multipliers``:
narrow proofs by ``lp-split`` and these, whose multipliers are changed so that it matters: a
thousand times too large or small, huge, of another neuron or record; and for each such change one
to a number that no certificate may have (a wrong sign, not finite), which counts as accepted
unless both checkers refuse it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "proof"))

from certificate_damage_proof import altered, small_certificates, still_follows
from multiplier_damage import ILL, PROGRAM_SEEDS, SHARP, by_programs
from step_damage import STEP_DAMAGES, STEP_SEEDS, by_steps

from precond.checker.certificate import Certificate
from precond.checker.exact import check
from precond.checker.fast import check_fast

CERTIFICATES = 40
FORMLESS = {kind.__name__ for kind in ILL}


def stepwise(
    certificate: Certificate, rng: np.random.Generator
) -> Iterator[tuple[str, Certificate]]:
    """Endlessly: the certificate with its steps changed, and how."""
    while True:
        kind = STEP_DAMAGES[int(rng.integers(len(STEP_DAMAGES)))]
        changed = kind(certificate, rng)
        if changed is not None and len(changed.steps):
            yield kind.__name__, changed


def multiplied(
    certificate: Certificate, rng: np.random.Generator
) -> Iterator[tuple[str, Certificate]]:
    """Endlessly: the certificate with its multipliers changed, and how."""
    while True:
        for kind in (SHARP[int(rng.integers(len(SHARP)))], ILL[int(rng.integers(len(ILL)))]):
            changed = kind(certificate, rng)
            if changed is not None:
                yield kind.__name__, changed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--damage", type=int, default=1000, help="changes that break a proof")
    parser.add_argument("--steps", action="store_true", help="change steps of tightened bounds")
    parser.add_argument("--multipliers", action="store_true", help="change multipliers sharply")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the counts as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(chosen.seed)
    if chosen.multipliers:
        made = [by_programs(seed) for seed in PROGRAM_SEEDS]
        made, change = [*made, *(by_steps(seed) for seed in STEP_SEEDS)], multiplied
    elif chosen.steps:
        made, change = [by_steps(seed) for seed in STEP_SEEDS], stepwise
    else:
        made, change = small_certificates(rng, CERTIFICATES), altered
    streams = [change(certificate, rng) for _, certificate in made]
    broken: Counter[str] = Counter()
    formless: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    wrong: list[str] = []
    refused = [0, 0]  # of those that still hold
    tried = close = 0
    while sum(broken.values()) < chosen.damage:
        k = tried % len(made)
        tried += 1
        (kind, changed), network = next(streams[k]), made[k][0].network
        valid = check(changed, network).valid, check_fast(changed, network).valid
        if kind in FORMLESS:
            formless[kind] += 1
            wrong += [f"{tried} {kind}"] * any(valid)
            continue
        follows = still_follows(changed, network)
        if follows is None:
            close += 1
        elif follows:
            whole[kind] += 1
            refused = [n + (not v) for n, v in zip(refused, valid, strict=True)]
        else:
            broken[kind] += 1
            wrong += [f"{tried} {kind}"] * any(valid)
            if sum(broken.values()) % 100 == 0:
                print(f"{sum(broken.values())} broken, {len(wrong)} accepted", flush=True)
    print(f"{tried} changes to {len(made)} certificates: {close} within rounding of a proof")
    print(f"still proofs {sum(whole.values())}: {dict(whole)}")
    print(f"  refused by python-flint {refused[0]}, in machine words {refused[1]}")
    print(f"no longer proofs {sum(broken.values())}: {dict(broken)}")
    if formless:
        print(f"numbers that no certificate may have {sum(formless.values())}: {dict(formless)}")
    print(f"  called valid: {len(wrong)} {wrong}")
    if chosen.out is not None:
        counts = {"tried": tried, "still_proofs": sum(whole.values()), "refused": refused}
        counts |= {"formless": sum(formless.values()), "by_kind": dict(broken)}
        counts |= {"broken": sum(broken.values()), "accepted": wrong}
        chosen.out.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
