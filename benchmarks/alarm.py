"""Is a proof an alarm?  How often a network is right where a proved rule holds, and elsewhere.

Each rule says: every input of the domain with this pattern has this class.  It was found on the
training part of the data and proved.  Counted here, on the held-out part: the share of inputs
that obey some rule, and how often the network is right about these and about the others.

    python benchmarks/alarm.py models/digits-mlp.onnx --inputs digits --analyze 60 --out alarm.json
    python benchmarks/alarm.py NETWORK --inputs mnist-5k --rules DIR/preconditions.json

``--analyze S`` runs ``precond analyze`` for S seconds first and takes the rules of its file,
``--patterns S`` runs ``precond patterns`` (``--cut LAYER`` as there).
Only rules proved over the whole natural range of the data count.  ``--picture FILE.png`` draws
inputs that obey a rule (an even sample) beside those that obey none; wrong predictions are framed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from precond import Precondition, Status, load
from precond.apply import Monitor
from precond.basics.evenly import evenly
from precond.data import Dataset, load_dataset
from precond.mine.support import wilson
from precond.network.graph import Network
from precond.proof import Kind
from precond.region.box import Box
from precond.study.store import Stored, read_preconditions

Truths = NDArray[np.bool_]
MOST, ACROSS = 72, 12  # digits of a kind in the picture, and in a row of it
CELL, SPACE, TITLE = 38, 36, 34  # pixels


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


@dataclass(frozen=True)
class Counted:
    """Of every held-out input: whether it obeys a rule, is predicted right, and contradicts one."""

    rules: int
    inside: Truths
    right: Truths
    contradicted: Truths

    def to_json(self) -> dict[str, Any]:
        return {
            "held_out": len(self.inside),
            "rules": self.rules,
            "inside": share(self.inside),
            "right": share(self.right),
            "right_inside": share(self.right[self.inside]),
            "right_outside": share(self.right[~self.inside]),
            "contradicted": int(self.contradicted.sum()),
        }


def counted(network: Network, rules: Sequence[Precondition], domain: Box, data: Dataset) -> Counted:
    assert data.labels is not None
    rows = data.held_out
    watched = Monitor(network, rules, domain).watch(data.inputs[rows])
    predicted = watched.predicted.numpy()
    implied = np.array([[int(rule.label) for rule in rules]])
    against = watched.holds.numpy() & (implied != predicted[:, None])
    return Counted(
        rules=len(rules),
        inside=watched.in_pattern.numpy(),
        right=predicted == np.asarray(data.labels)[rows],
        contradicted=against.any(1),
    )


def picture(data: Dataset, found: Counted, path: Path) -> None:
    """Two blocks of digits: those that obey a rule, and those that obey none."""
    outside = np.flatnonzero(~found.inside)[:MOST]
    inside = np.flatnonzero(found.inside)
    sample = inside[evenly(len(inside), MOST)]
    side, gap = 2 * CELL * ACROSS + SPACE, CELL * -(-MOST // ACROSS)
    sheet = Image.new("RGB", (side, gap + TITLE), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=17)
    titles = ("obey a rule that is proved for every picture", "obey no such rule")
    for left, title, rows in zip(
        (0, CELL * ACROSS + SPACE), titles, (sample, outside), strict=True
    ):
        draw.text((left + 2, 6), title, fill="#1b2733", font=font)
        for place, row in enumerate(rows):
            corner = left + CELL * (place % ACROSS), TITLE + CELL * (place // ACROSS)
            pixels = np.asarray(data.inputs[data.held_out[row]]).reshape(data.image_shape or (8, 8))
            shades = (255 * (pixels - data.natural[0]) / np.ptp(data.natural)).astype(np.uint8)
            drawn = Image.fromarray(shades.reshape(shades.shape[-2:])).resize((CELL - 6, CELL - 6))
            sheet.paste(drawn, (corner[0] + 3, corner[1] + 3))
            if not found.right[row]:
                ends = corner[0] + 1, corner[1] + 1, corner[0] + CELL - 2, corner[1] + CELL - 2
                draw.rectangle(ends, outline="#d21f1f", width=3)
    sheet.save(path, optimize=True)


def share(which: Truths) -> dict[str, Any]:
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
    rules.add_argument("--rules", type=Path, nargs="+", help="preconditions.json, one or several")
    rules.add_argument("--analyze", type=float, metavar="S", help="seconds to find rules in")
    rules.add_argument("--patterns", type=float, metavar="S", help="the same, whole-space patterns")
    parser.add_argument("--cut", metavar="LAYER", help="for --patterns")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw digits of both kinds")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    network, data = load(options.model), load_dataset(options.inputs)
    with tempfile.TemporaryDirectory() as folder:
        files = options.rules or [made(options, Path(folder))]
        every = [read_preconditions(file) for file in files]
    proved = []
    for stored in every:
        found = everywhere(stored, data.natural)
        for entry in found[:1]:
            stored.claim(entry, network)  # refuses rules of another network
        proved += found
    if not proved:
        sys.exit(f"{files[0]}: no rule is proved over the whole range of {data.name}")
    counts = counted(network, proved, every[0].domain, data)
    if options.picture is not None:
        picture(data, counts, options.picture)
    shown = counts.to_json()
    print(f"{options.model.name}, {data.name}: {shown['rules']} rules proved for every input")
    print(f"held-out inputs that obey one   {words(shown['inside'])}")
    print(f"network right, all of them      {words(shown['right'])}")
    print(f"network right inside a rule     {words(shown['right_inside'])}")
    print(f"network right outside           {words(shown['right_outside'])}")
    print(f"predictions against a rule      {shown['contradicted']} (a proof would be wrong)")
    if options.out is not None:
        content = {"model": options.model.name, "data": data.name, **shown}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if shown["contradicted"] else 0


if __name__ == "__main__":
    sys.exit(main())
