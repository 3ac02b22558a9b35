"""What a preconditions.json holds: proved input preconditions, their sizes and cost.

    python benchmarks/preconditions.py FILE.json [FILE.json …]

Size is the number of literals; ``proofs`` how many claims were put to the prover to find
each; seconds are the last proof's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    for path in parser.parse_args().files:
        data = json.loads(path.read_text())
        entries = [e for e in data["preconditions"] if e["kind"] == "input"]
        proved = [e for e in entries if e["verdict"]["status"] == "proved"]
        sizes = sorted(len(e["pattern"]["on"]) + len(e["pattern"]["off"]) for e in proved)
        print(f"{data['network']['path']} on {data['data']['name']}, {data['domain']['text']}")
        print(f"  proved input preconditions  {len(proved)}")
        print(f"  unconfirmed of these        {sum(not e['verdict']['confirmed'] for e in proved)}")
        if not proved:
            continue
        classes = dict(sorted(Counter(e["label"] for e in proved).items()))
        middle = statistics.median(sizes)
        print(f"  per class                   {classes}")
        print(f"  size, neurons               {sizes[0]} to {sizes[-1]}, median {middle:g}")
        print(f"  proofs to find one, median  {statistics.median(e['proofs'] for e in proved):g}")
        held = [e["support"]["train"] + e["support"]["held_out"] for e in proved]
        print(f"  inputs in each, median      {statistics.median(held):g}, largest {max(held)}")
        print(
            f"  engines                     {dict(Counter(e['verdict']['engine'] for e in proved))}"
        )
        print(f"  run                         {data['seconds']:.1f} s")


if __name__ == "__main__":
    main()
