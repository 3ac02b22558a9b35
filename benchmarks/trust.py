"""Can a proof be handed to someone who trusts only the checker?

``--certificates``: proofs of trained networks with their certificates: how many are valid, the
size of a file, the time to check relative to the time of the proof; then certificates damaged
in one number or index, none of which may be called valid (``trust_certificates.py``).
``--networks N``: exact verdicts on N random networks, some badly scaled, against z3, and how
often Marabou, float bounds and ours differ (``trust_networks.py``).

Both are resumed from ``--out`` and stop by themselves after ``--seconds``.  Exit status 1 if
a verdict or a damaged certificate was wrongly called valid.

    python benchmarks/trust.py --certificates --stride 2 --pictures 16 --out certificates
    python benchmarks/trust.py --networks 3000 --out networks.jsonl
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from trust_certificates import certificates
from trust_networks import networks


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--certificates", action="store_true")
    what.add_argument("--networks", type=int, metavar="N", help="random claims against z3")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many")
    parser.add_argument("--stride", type=int, default=2, help="every n-th ACAS Xu query")
    parser.add_argument("--pictures", type=int, default=16, help="held-out pictures of a model")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for a proof")
    parser.add_argument("--damage", type=int, default=1000, help="damaged certificates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder, or for --networks a file")
    torch.set_num_threads(1)
    chosen = parser.parse_args()
    if chosen.networks is not None:
        return networks(chosen.networks, chosen.out, chosen.seconds)
    return certificates(
        chosen.out,
        stride=chosen.stride,
        pictures=chosen.pictures,
        budget=chosen.budget,
        seconds=chosen.seconds,
        changes=chosen.damage,
        seed=chosen.seed,
    )


if __name__ == "__main__":
    sys.exit(main())
