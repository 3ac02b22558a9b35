"""Is a proof an alarm?  How often a network is right where a proved rule holds, and elsewhere.

Each rule says: every input of the domain with this pattern has this class.  It was found on the
training part of the data and proved.  Counted here, on the held-out part: the share of inputs
that obey some rule, and how often the network is right about these and about the others.

    python benchmarks/alarm.py models/digits-mlp.onnx --inputs digits --analyze 60 --out alarm.json
    python benchmarks/alarm.py NETWORK --inputs mnist-5k --rules DIR/preconditions.json

``--analyze S`` runs ``precond analyze`` for S seconds first and takes the rules of its file,
``--patterns S`` runs ``precond patterns`` (``--cut LAYER`` as there).
Only rules proved over the whole natural range of the data count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond import Precondition, Status, load
from precond.apply import Monitor
from precond.data import Dataset, load_dataset
from precond.mine.support import wilson
from precond.network.graph import Network
from precond.proof import Kind
from precond.region.box import Box
from precond.study.store import Stored, read_preconditions


def everywhere(stored: Stored, natural: tuple[float, float]) -> list[Precondition]:
    """The entries proved for every input of the data's natural range."""

    def covers(box: Box) -> bool:
        return bool((box.lower <= natural[0]).all() and (natural[1] <= box.upper).all())

    return [
        entry
        for entry in stored.preconditions
        if entry.kind in (Kind.LAYER, Kind.SPACE)
        and entry.verdict.status is Status.PROVED
        and covers(entry.domain or stored.domain)
    ]


def made(options: argparse.Namespace, folder: Path) -> Path:
    """``preconditions.json`` of ``precond analyze`` or ``precond patterns``."""
    if options.analyze is not None:
        command = ["analyze", "--budget", f"{options.analyze:g}"]
    else:
        command = ["patterns", "--budget", f"{options.patterns:g}"]
        command += ["--cut", options.cut] if options.cut else []
    given = [str(options.model), "--inputs", options.inputs, "--out", str(folder)]
    run = [sys.executable, "-m", "precond", *command, *given]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    return folder / "preconditions.json"


def shares(
    network: Network, rules: Sequence[Precondition], domain: Box, data: Dataset
) -> dict[str, Any]:
    """How many held-out inputs obey a rule, and how many of each kind are predicted right."""
    assert data.labels is not None
    rows = data.held_out
    watched = Monitor(network, rules, domain).watch(data.inputs[rows])
    right = watched.predicted.numpy() == np.asarray(data.labels)[rows]
    inside = watched.in_pattern.numpy()
    implied = np.array([[int(rule.label) for rule in rules]])
    said = watched.holds.numpy() & (implied != watched.predicted.numpy()[:, None])
    return {
        "held_out": len(rows),
        "rules": len(rules),
        "inside": share(inside),
        "right": share(right),
        "right_inside": share(right[inside]),
        "right_outside": share(right[~inside]),
        "contradicted": int(said.any(1).sum()),
    }


def share(which: NDArray[np.bool_]) -> dict[str, Any]:
    """A count, its share and the share's 95 % Wilson interval."""
    low, high = wilson(int(which.sum()), len(which))
    value = float(which.mean()) if len(which) else None
    return {"count": int(which.sum()), "of": len(which), "share": value, "interval": [low, high]}


def words(of: dict[str, Any]) -> str:
    low, high = of["interval"]
    value = "–" if of["share"] is None else f"{of['share']:.1%}"
    return f"{value} ({of['count']} of {of['of']}; 95 %: {low:.1%} to {high:.1%})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--inputs", required=True)
    rules = parser.add_mutually_exclusive_group(required=True)
    rules.add_argument("--rules", type=Path, help="a preconditions.json")
    rules.add_argument("--analyze", type=float, metavar="S", help="seconds to find rules in")
    rules.add_argument("--patterns", type=float, metavar="S", help="the same, whole-space patterns")
    parser.add_argument("--cut", metavar="LAYER", help="for --patterns")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    network, data = load(options.model), load_dataset(options.inputs)
    with tempfile.TemporaryDirectory() as folder:
        file = options.rules or made(options, Path(folder))
        stored = read_preconditions(file)
    proved = everywhere(stored, data.natural)
    if not proved:
        sys.exit(f"{file}: no rule is proved over the whole range of {data.name}")
    stored.claim(proved[0], network)  # refuses rules of another network
    found = shares(network, proved, stored.domain, data)
    print(f"{options.model.name}, {data.name}: {found['rules']} rules proved for every input")
    print(f"held-out inputs that obey one   {words(found['inside'])}")
    print(f"network right, all of them      {words(found['right'])}")
    print(f"network right inside a rule     {words(found['right_inside'])}")
    print(f"network right outside           {words(found['right_outside'])}")
    print(f"predictions against a rule      {found['contradicted']} (a proof would be wrong)")
    if options.out is not None:
        content = {"model": options.model.name, "data": data.name, **found}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if found["contradicted"] else 0


if __name__ == "__main__":
    sys.exit(main())
