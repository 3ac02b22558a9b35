"""Fast paths beside the plain network and its rivals, each in every runtime.

Networks are those of ``distillation_networks``; calibration rows vouch for thresholds, and test
rows measure.  One table a network: coverage, accuracy, and latency at batch 1, 8, 64 and 256 of the
fast path, the plain network, linear exits at the same layer and a smaller network.  Wanted: at most
0.1 points of accuracy lost, 2.0 times as fast at batch 1 and 2.5 at 256, in the runtime where the
plain network is fastest.

``--resample``: is the promise kept?  All rows that the network did not learn from stand for the
world, so that the true loss of every threshold is known; calibration rows are drawn from them 100
times, with replacement, and thresholds chosen anew.  More than the limit may be lost in a share δ
of the draws.

    python -m benchmarks.distillation --cache networks --out distillation.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.distillation_networks import RECIPES, network_of, parts, small_network
from precond.apply.distillation.certified import certified_share
from precond.apply.distillation.learn import Distilled, NotWorthIt, answers_of, distill
from precond.apply.distillation.measure import trade_off
from precond.apply.distillation.path import save_fast_path
from precond.apply.distillation.prices import measured_prices
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.samples import Samples, augmented, sample_of, tuning_rows
from precond.apply.distillation.settings import ROWS, Promise, Training
from precond.apply.distillation.table import FAST, PLAIN, TradeOffTable
from precond.apply.distillation.thresholds import Answers, ExitRows, choose, counted
from precond.apply.distillation.votes import VoteExit
from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.graph import Network
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

SPEED = {1: 2.0, 256: 2.5}  # wanted at these batch sizes
DRAWS = 100
SMALL = "small-cnn"  # the network with batch normalisation, on mnist-5k
RADIUS, BALLS = Radius(0.01), 200


def prepared(name: str, cache: Path) -> tuple[Network, Samples, int]:
    """A network, its data in parts, and the pixels that pictures are moved by."""
    data = load_dataset("mnist-5k" if name == SMALL else name)
    file = cache / (f"{SMALL}.onnx" if name == SMALL else f"{name}-8-layers.onnx")
    if not file.exists():
        begun = time.perf_counter()
        write_onnx(small_network(data) if name == SMALL else network_of(data), file)
        print(f"{name}: trained in {time.perf_counter() - begun:.0f} s", flush=True)
    network = load(file)
    whole = sample_of(network, np.asarray(data.inputs), data.labels)
    fit, calibration, test = (whole.rows(rows) for rows in parts(data))
    return network, Samples(fit, calibration, test), 1 if data.name == "mnist-5k" else 0


def one(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Train (or load) the network, make its fast path, measure."""
    network, samples, shift = prepared(name, options.cache)
    training = Training(shift=shift, rows=options.rows)
    promise = Promise()
    readings = [Reading.parse(text) for text in options.layer or ()] or None
    begun = time.perf_counter()
    worth = "worth it by the time of its parts"
    try:
        found = distill(
            network,
            samples.fit,
            samples.calibration,
            readings,
            promise=promise,
            training=training,
        )
    except NotWorthIt as slow:
        found, worth = slow.anyway, f"not worth it: {slow.why}"
    seconds = time.perf_counter() - begun
    save_fast_path(found.path, options.cache / f"{name}-fastpath.pt")
    table = trade_off(
        network,
        found,
        samples,
        promise=promise,
        training=training,
        compile=not options.no_compile,
    )
    given = found.path.predict(samples.test.inputs.numpy()).exits
    busy = os.getloadavg()[0]
    print(
        f"\n{name}: {len(samples.test)} test inputs, {table.threads} threads; made in "
        f"{seconds:.0f} s; load {busy:.1f} (this program counts 1); {worth}"
    )
    assert found.choice is not None
    choice = found.choice
    print(
        f"  {choice.inputs} calibration rows: {100 * choice.coverage:.1f} % early, {choice.lost} "
        f"lost, {choice.won} won, p = {choice.p_value:.3f}"
    )
    for number, exit in enumerate(found.path.names()):
        print(f"  {100 * (given == number).mean():5.1f} % answered by {exit}")
    print("\n".join(table.lines()))
    for note in table.notes:
        print(f"note: {note}")
    print(verdict(table), flush=True)
    result: dict[str, object] = {
        "data": name,
        "load": busy,
        "seconds": seconds,
        "exits": found.path.names(),
        "coverage": choice.coverage,
        "accuracy": {"plain": plain_accuracy(table), "fast": table.fast.accuracy},
        "times_faster": {str(gain.batch): gain.times for gain in table.gains(FAST)},
        "table": table.to_json(),
    }
    if options.robust:
        share = certified_share(
            found.path,
            samples.test.inputs[:BALLS].numpy(),
            RADIUS,
            ranges=ValueRanges.uniform(network.input_size, (0.0, 1.0)),
        )
        print(f"certified: {share}", flush=True)
        result["certified"] = vars(share)
    if options.resample:
        result["resampled"] = resampled(network, samples, found, promise=promise, shift=shift)
    return result


def plain_accuracy(table: TradeOffTable) -> float:
    return next(row.accuracy for row in table.rows if row.method == PLAIN)


def verdict(table: TradeOffTable) -> str:
    """Loss and speed against the plain network, where it is fastest, of the fast path and of the
    linear exits; the same in processor time."""
    lines = [f"loss {table.fast.loss:+.2f} points (wanted ≤ {Promise().max_loss:g})"]
    for method in dict.fromkeys(row.method for row in table.rows):
        if method == FAST or method.startswith("linear"):
            words = []
            for gain in table.gains(method):
                place = table.batches.index(gain.batch)
                plain, fast = (
                    table.row(name, gain.runtime).processor[place] or float("nan")
                    for name in ("plain network", method)
                )
                wanted = f", wanted {SPEED[gain.batch]:g}" if gain.batch in SPEED else ""
                words.append(
                    f"{gain.times:.2f}× at batch {gain.batch} by {gain.runtime.value} "
                    f"({plain / fast:.2f}× in processor time{wanted})"
                )
            lines.append(f"{method}: {'; '.join(words)}")
    return "\n".join(lines)


def resampled(
    network: Network, samples: Samples, found: Distilled, *, promise: Promise, shift: int
) -> dict[str, float]:
    """How often the promise is broken when calibration rows are drawn anew."""
    exits = [exit for exit in found.path.exits if isinstance(exit, VoteExit)]
    tuning = answers_of(network, exits, augmented(tuning_rows(samples.fit, 0)[1], network, shift))
    parted = [answers_of(network, exits, part) for part in (samples.calibration, samples.test)]
    world = ExitRows(
        tuple(
            Answers(
                *(
                    np.concatenate([getattr(part.exits[k], field) for part in parted])
                    for field in ("confidence", "right", "answered")
                )
            )
            for k in range(len(exits))
        ),
        np.concatenate([part.right for part in parted]),
    )
    prices = measured_prices(network, exits, samples.fit.inputs[:256])
    stream = np.random.RandomState(1)
    losses, shares = [], []
    for _ in range(DRAWS):
        drawn = world.rows(stream.randint(len(world), size=len(samples.calibration)))
        choice = choose(tuning, drawn, prices, promise)
        true = counted(world, choice.thresholds, prices)
        losses.append(true.loss)
        shares.append(true.coverage)
    broken = sum(loss > promise.max_loss for loss in losses)
    print(
        f"{DRAWS} draws of {len(samples.calibration)} calibration rows from {len(world)}: the loss "
        f"is above {promise.max_loss:g} points in {broken} (allowed: {DRAWS * promise.delta:g}); "
        f"median loss {np.median(losses):+.3f}, median coverage {100 * np.median(shares):.1f} %",
        flush=True,
    )
    return {"broken": broken, "draws": DRAWS, "loss": float(np.median(losses))}


def main() -> None:
    names = [*RECIPES, SMALL]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="*", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--cache", type=Path, required=True, help="folder for trained networks")
    parser.add_argument("--layer", action="append", metavar="NAME[:STEP]")
    parser.add_argument("--rows", type=int, default=ROWS, help="inputs seen in training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--robust", action="store_true", help=f"balls of {RADIUS:g}, too")
    parser.add_argument("--resample", action="store_true", help="is the promise kept?")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = options.name or names
    if set(chosen) - set(names):
        parser.error(f"expected {' or '.join(names)}, got {', '.join(chosen)}")
    torch.set_num_threads(options.threads)
    options.cache.mkdir(parents=True, exist_ok=True)
    results = {name: one(name, options) for name in chosen}
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
