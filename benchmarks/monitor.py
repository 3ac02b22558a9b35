"""How many inputs a second a monitor of 500 rules sees, and that it is right about all of them.

Rules mined from ``mnist-mlp`` (or the model given) on mnist-5k, cut or filled up to 500 with
random conjunctions of eight decisions of one training input.  First 10,000 inputs × 500 rules
against a literal-by-literal evaluation; then the rate of: rules alone, given decisions packed
in bits (as ``precond.record`` stores them), to bit sets and to one truth value a rule; verdicts
as well; all of it with the network's forward pass.  Wanted: more than 100,000 a second for the
rules alone on two cores.

    python benchmarks/monitor.py --threads 2 --out monitor.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from precond.apply.monitoring.watch import Monitor
from precond.apply.packed import CHUNK
from precond.data.datasets import load_dataset, split
from precond.formats.load import load
from precond.mine.layer_rules.learn import layer_preconditions
from precond.network.graph import Network
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.region.signature import Signatures

RULES, CHECKED, TIMED, WANTED = 500, 10_000, 100_000, 100_000
MODEL = Path(__file__).parents[1] / "models" / "mnist-mlp.onnx"


def rules(network: Network, inputs: np.ndarray) -> tuple[list[Precondition], int]:
    """``RULES`` rules, and how many of them were mined."""
    seen = record(network, inputs)
    mined = layer_preconditions(seen, seen.predicted, minimum_precision=0.98, minimum_support=5)
    found = [(rule.pattern, rule.label, rule.support) for rule in mined[:RULES]]
    rng = np.random.default_rng(0)
    count = len(found)
    while len(found) < RULES:
        row = int(rng.integers(len(inputs)))
        layer = network.decision_layers[int(rng.integers(len(network.decision_layers)))]
        whole = DecisionPattern.of_row(seen, row, [layer])
        chosen = set(rng.choice(network.width(layer), 8, replace=False).tolist())
        pattern = DecisionPattern(
            frozenset(n for n in whole.on if n[1] in chosen),
            frozenset(n for n in whole.off if n[1] in chosen),
        )
        found.append((pattern, int(seen.predicted[row]), pattern.support(seen)))
    entries = [
        Precondition(
            f"layer-{label}-{k}",
            Kind.LAYER,
            str(label),
            None,
            pattern,
            Support(support, 0, None, None),
            Verdict(Status.EMPIRICAL),
        )
        for k, (pattern, label, support) in enumerate(found)
    ]
    return entries, count


def literal_by_literal(entries: list[Precondition], seen: Signatures) -> np.ndarray:
    """(N, R) with every literal looked up on its own."""
    on = {layer: seen.decisions(layer) for layer in seen.layers}
    result = np.ones((len(seen), len(entries)), dtype=np.bool_)
    for r, entry in enumerate(entries):
        for layer, index in entry.pattern.on:
            result[:, r] &= on[layer][:, index]
        for layer, index in entry.pattern.off:
            result[:, r] &= ~on[layer][:, index]
    return result


def rate(run: Callable[[], object], inputs: int) -> float:
    """Inputs a second, the median of five runs after one."""
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return inputs / float(np.median(times[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network, data = load(options.model), load_dataset("mnist-5k")
    entries, mined = rules(network, data.inputs[split(data)[0]])
    sizes = [len(entry.pattern) for entry in entries]
    layers = len({layer for entry in entries for layer in entry.pattern.layers})
    print(
        f"{len(entries)} rules, {mined} of them mined, over {layers} layers, "
        f"{np.mean(sizes):.1f} literals a rule, at most {max(sizes)}; {options.threads} threads"
    )
    noise = np.random.default_rng(1).normal(0, 0.1, (TIMED, network.input_size))
    inputs = np.clip(data.inputs[np.arange(TIMED) % len(data)] + noise, 0, 1).astype(np.float32)
    box = Box.uniform(network.input_size, 0.0, 1.0)
    monitor = Monitor(network, entries, box)
    checked = record(network, inputs[:CHECKED])
    wanted = literal_by_literal(entries, checked)
    packed = monitor.rules.holds(monitor.rules.recorded_bits(checked)).numpy()
    watched = monitor.watch(inputs[:CHECKED]).holds.numpy()
    differ = int((packed != wanted).sum()), int((watched != wanted).sum())
    print(
        f"{CHECKED} × {RULES}: {differ[0]} answers differ from literal by literal given the "
        f"decisions, {differ[1]} from the network's inputs on; {int(wanted.sum())} hold"
    )
    seen = record(network, inputs, dtype=torch.float32)
    chunks = [slice(at, at + CHUNK) for at in range(0, TIMED, CHUNK)]
    outputs, rows = torch.as_tensor(seen.outputs), torch.as_tensor(inputs)
    single = Monitor(network, entries, box, dtype=torch.float32)
    known = monitor.rules
    figures = {
        "rules, from packed decisions to bit sets": lambda: [
            known.words(known.recorded_bits(seen, part)) for part in chunks
        ],
        "rules, from packed decisions to (N, R) truth values": lambda: [
            known.holds(known.recorded_bits(seen, part)) for part in chunks
        ],
        "rules and verdicts, from packed decisions": lambda: [
            monitor.judge(known.recorded_bits(seen, part), outputs[part], rows[part])
            for part in chunks
        ],
        "network, rules and verdicts, float32": lambda: single.watch(inputs),
        "network, rules and verdicts, float64": lambda: monitor.watch(inputs),
        "network alone, float32": lambda: record(network, inputs, [], dtype=torch.float32),
    }
    rates = {name: rate(run, TIMED) for name, run in figures.items()}
    for name, found in rates.items():
        print(f"{found:12,.0f} inputs a second  {name}")
    reached = rates["rules, from packed decisions to (N, R) truth values"] > WANTED
    print(f"wanted: more than {WANTED:,} for the rules alone: {'reached' if reached else 'missed'}")
    if options.out is not None:
        content = {
            "rules": len(entries),
            "mined": mined,
            "literals": float(np.mean(sizes)),
            "threads": options.threads,
            "differences": differ,
            "inputs_a_second": rates,
        }
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
