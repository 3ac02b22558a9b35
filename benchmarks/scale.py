"""What data larger than memory costs: time and peak memory by number of inputs.

Each measurement runs in a process of its own, so that its peak resident memory is its own
(pages of memory-mapped files that are in memory count too).

    record     signatures of 784-256-256-10 on random inputs from a memory-mapped file
    mine       layer rules over 512 decisions of ten classes, from packed bits on disk
    monitor    which of 100 rules of about 6 literals holds for each input

Bits for ``mine`` and ``monitor`` are made up: every class has its own probability for every
neuron to be on, most of them near a half, a few near 0 or 1.

    python benchmarks/scale.py --inputs 100000 1000000 10000000 --out scale.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
NEURONS = 512
LAYER = "relu"
PARTS = ("record", "mine", "monitor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--record-at-most", type=int, default=100_000, metavar="N")
    parser.add_argument("--folder", type=Path, help="for the files (default: a temporary one)")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--one", nargs=3, metavar=("PART", "N", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        part, count, folder = chosen.one
        print(json.dumps(measured(part, int(count), Path(folder))))
        return
    rows = []
    print(f"{'part':<10} {'inputs':>10} {'seconds':>9} {'CPU s':>9} {'peak MiB':>9}  result")
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="scale-") as name:
        for part in chosen.parts:
            for count in chosen.inputs:
                if part == "record" and count > chosen.record_at_most:
                    continue
                row = in_child(part, count, Path(name))
                rows.append(row)
                print(
                    f"{part:<10} {count:>10} {row['seconds']:>9.1f} {row['cpu']:>9.1f} "
                    f"{row['peak MiB']:>9.0f}  {row['result']}",
                    flush=True,
                )
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(rows, indent=1))


def in_child(part: str, count: int, folder: Path) -> dict[str, Any]:
    """Make the files, then measure in another process."""
    made = folder / f"{part if part == 'record' else 'bits'}-{count}"
    if not made.exists():
        made.mkdir()
        if part == "record":
            values = np.lib.format.open_memmap(
                made / "x.npy", mode="w+", dtype=np.float32, shape=(count, 784)
            )
            stream = np.random.default_rng(0)
            for start in range(0, count, 10_000):
                stop = min(start + 10_000, count)
                values[start:stop] = stream.random((stop - start, 784), dtype=np.float32)
        else:
            make_bits(made, count)
    shown = subprocess.run(
        [sys.executable, __file__, "--one", part, str(count), str(made)],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(shown.stdout))


def make_bits(folder: Path, count: int) -> None:
    """Packed decisions and outputs, in the files that a recording has."""
    stream = np.random.default_rng(0)
    often = np.clip(stream.beta(6, 6, size=(CLASSES, NEURONS)), 0.02, 0.98)
    for label in range(CLASSES):
        sure = stream.permutation(NEURONS)[:20]
        often[label, sure] = np.where(stream.random(20) < 0.5, 0.003, 0.997)
    limits = (often * 65536).astype(np.uint16)
    bits = np.lib.format.open_memmap(
        folder / "bits-0.npy", mode="w+", dtype=np.uint8, shape=(count, NEURONS // 8)
    )
    outputs = np.lib.format.open_memmap(
        folder / "outputs.npy", mode="w+", dtype=np.float64, shape=(count, CLASSES)
    )
    for start in range(0, count, 20_000):
        stop = min(start + 20_000, count)
        labels = stream.integers(CLASSES, size=stop - start)
        drawn = stream.integers(65536, size=(stop - start, NEURONS), dtype=np.uint16)
        bits[start:stop] = np.packbits(drawn < limits[labels], axis=1)
        outputs[start:stop] = 0.0
        outputs[np.arange(start, stop), labels] = 1.0
    content = {
        "format": 1,
        "network": "made up",
        "layers": [LAYER],
        "widths": [NEURONS],
        "inputs": count,
        "outputs": CLASSES,
        "values": False,
    }
    (folder / "signatures.json").write_text(json.dumps(content))


def measured(part: str, count: int, folder: Path) -> dict[str, Any]:
    """One measurement, in this process."""
    import torch

    torch.set_num_threads(1)
    work = {"record": recording, "mine": mining, "monitor": monitoring}[part]
    began, used = time.monotonic(), time.process_time()
    result = work(folder)
    return {
        "part": part,
        "inputs": count,
        "seconds": round(time.monotonic() - began, 2),
        "cpu": round(time.process_time() - used, 2),
        "peak MiB": peak_memory(),
        "result": result,
    }


def peak_memory() -> float:
    """Most resident memory of this process so far, in MiB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def recording(folder: Path) -> str:
    from precond.network.graph import INPUT, Network
    from precond.network.layers import Affine, Node, ReLU
    from precond.region.recording import record

    stream = np.random.default_rng(1)

    def layer(name: str, n: int, m: int, source: str) -> Node:
        return Node(name, Affine(stream.normal(size=(m, n)) / 20, np.zeros(m)), (source,))

    nodes = (
        layer("z0", 784, 256, INPUT),
        Node("relu0", ReLU(), ("z0",)),
        layer("z1", 256, 256, "relu0"),
        Node("relu1", ReLU(), ("z1",)),
        layer("y", 256, 10, "relu1"),
    )
    inputs = np.load(folder / "x.npy", mmap_mode="r")
    found = record(Network(nodes, (784,)), inputs, store=folder / "store", dtype=torch_float32())
    size = sum(bits.nbytes for bits in found.bits.values())
    return f"{size / len(found):.0f} bytes of bits an input"


def torch_float32() -> Any:
    import torch

    return torch.float32


def mining(folder: Path) -> str:
    from precond.mine.layer_rules.learn import layer_preconditions
    from precond.region.recording import open_signatures

    signatures = open_signatures(folder)
    rules = layer_preconditions(
        signatures,
        signatures.predicted,
        minimum_precision=0.98,
        minimum_support=max(20, len(signatures) // 5000),
        trees=4,
    )
    best = max((rule.support for rule in rules), default=0)
    return f"{len(rules)} rules, the largest holds for {best}"


def monitoring(folder: Path) -> str:
    from precond.region.pattern import DecisionPattern
    from precond.region.recording import open_signatures

    signatures = open_signatures(folder)
    stream = np.random.default_rng(2)
    first: NDArray[np.int64] = np.full(len(signatures), -1)
    for number in range(100):
        chosen = stream.permutation(NEURONS)[:6]
        up = stream.random(6) < 0.5
        pattern = DecisionPattern(
            frozenset((LAYER, int(i)) for i in chosen[up]),
            frozenset((LAYER, int(i)) for i in chosen[~up]),
        )
        first[(first < 0) & pattern.holds(signatures)] = number
    return f"{(first >= 0).mean():.1%} of the inputs are in a rule"


if __name__ == "__main__":
    main()
