"""Which inputs suffice: size, seconds and gap of ``sufficient_features``, beside other ways.

Rows of the table for pictures (mnist-5k, held-out digits, features free within a radius):

    ours          everything: the search, its certificate, and the lower bound
    search only   without the last two, as the other ways have none
    bounds        what batches of bounds free alone
    one by one    VeriX's way: one feature at a time, each put to the same prover; the order is
                  the least change of the class's score when a feature is set to black first
    marabou       the same with Marabou as the prover

*seconds* are of the processor, so that other work on the machine does not count, and so are the
limits (``--clock``); of Marabou, which runs in a process of its own, they are of the clock.

*gap*: how much smaller a sufficient set could be, by the proved lower bound.  *certified*: sets
whose certificate was checked in exact arithmetic.  *IG*: how often the top pixels of integrated
gradients, as many as the set has, suffice.

Tables (breast cancer and diabetes, from scikit-learn; a small network trained here, seeded):
every sentence is checked on 100,000 samples of its box.

    python -m benchmarks.sufficient --model models/mnist-mlp.onnx --most 15 --beside 2
    python -m benchmarks.sufficient --tables --most 30 --out sufficient.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from precond.data.datasets import load_dataset
from precond.formats.load import load
from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.changes import Changes
from precond.mine.sufficient_features.freeing import freed_by_bounds
from precond.mine.sufficient_features.question import FeatureQuestion
from precond.mine.sufficient_features.sufficient import (
    SufficientFeatures,
    SufficientSettings,
    feature_question,
    sufficient_features,
)
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof import deadline
from precond.proof.deadline import Deadline
from precond.region.box import Box

sys.path.insert(0, str(Path(__file__).parent))  # other benchmarks run as files of this folder
from peers.solvers import Marabou

Array = NDArray[np.float64]
SAMPLES = 100_000
EPOCHS = 400


@dataclass(frozen=True)
class Line:
    """One digit and one way."""

    way: str
    row: int
    size: int
    seconds: float
    least: int = 0
    certified: bool = False


def by_bounds(question: FeatureQuestion) -> tuple[int, float]:
    """What bounds alone free: kept features, seconds."""
    begun = time.process_time()
    inquiry = Inquiry(
        question=question, pool=Changes(question), deadline=Deadline.after(60), each=1.0
    )
    free = freed_by_bounds(inquiry)
    return int((~free).sum()), time.process_time() - begun


def one_by_one(
    question: FeatureQuestion, budget: float, peer: Marabou | None, each: float
) -> tuple[int, float]:
    """VeriX's traversal: kept features and seconds; what time leaves open is kept.  Of ``peer``
    the word is taken, without a second engine."""
    clock = time.process_time if peer is None else time.monotonic
    begun = clock()
    inquiry = Inquiry(
        question=question, pool=Changes(question), deadline=Deadline.after(budget), each=each
    )
    black = np.repeat(question.x[None], question.x.size, 0)
    np.fill_diagonal(black, question.reach.lower)
    change = np.abs(question.margins(black) - question.margins(question.x[None])).max(1)
    free = inquiry.nothing
    for unit in np.argsort(change, kind="stable").tolist():
        if inquiry.deadline.passed:
            break
        more = free.copy()
        more[unit] = True
        limit = inquiry.deadline.earlier(each)
        claim = question.claim(more)
        if peer is None:
            holds = inquiry.put(claim, limit).is_proved
        else:
            holds = peer.decide([claim], limit.left).verdict == "unsat"
        if holds:
            free = more
    return int((~free).sum()), clock() - begun


def top_suffices(question: FeatureQuestion, size: int) -> bool:
    """Whether the ``size`` pixels with the largest integrated gradients suffice."""
    from attribution import class_score, integrated_gradients

    label = int(outputs(question.network, _row(question.network, question.x))[0].argmax())
    found = integrated_gradients(
        question.network, _row(question.network, question.x), 0.0, class_score(label)
    )
    order = np.argsort(-np.abs(found.values.reshape(-1)), kind="stable")
    free = np.ones(question.units.count, dtype=np.bool_)
    free[order[:size]] = False
    inquiry = Inquiry(
        question=question, pool=Changes(question), deadline=Deadline.after(10), each=10.0
    )
    return inquiry.ask(free).is_proved


def _row(network: Network, x: Array) -> Array:
    return x.reshape(1, *network.input_shape)


def even(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """``most`` of the rows, at even distances."""
    return rows[:: max(1, len(rows) // most)][:most]


def pictures(chosen: argparse.Namespace) -> dict[str, Any]:
    """The table for one network."""
    network = load(chosen.model).logits
    data = load_dataset("mnist-5k")
    natural = Box.uniform(network.input_size, 0.0, 1.0)
    rows = even(data.held_out, chosen.most)
    settings = SufficientSettings(budget=chosen.budget, each=chosen.each, intervals=False)
    lines: list[Line] = []
    top = 0
    for place, row in enumerate(rows.tolist()):
        x = data.flat[row].astype(np.float64)
        reach = Box.ball(x, chosen.radius, natural)
        question = feature_question(network, x, reach)
        begun = time.process_time()
        found = sufficient_features(network, x, reach, settings=settings)
        spent = time.process_time() - begun
        quick = replace(settings, lower=False, exact=False)
        begun = time.process_time()
        sufficient_features(network, x, reach, settings=quick)
        search = time.process_time() - begun
        lines.append(Line("ours", row, found.size, spent, found.least, found.verdict.exact))
        lines.append(Line("search only", row, found.size, search))
        print(
            f"{row:6} kept {found.size:4} at least {found.least:4} gap {found.gap:6.1%} "
            f"{spent:6.1f} s ({search:.1f} s search) {found.proofs:3} proofs "
            f"{found.verdict.status.value} exact {found.verdict.exact}",
            flush=True,
        )
        lines.append(Line("bounds", row, *by_bounds(question)))
        top += top_suffices(question, found.size)
        if place < chosen.beside:
            size, seconds = one_by_one(question, chosen.limit, None, chosen.each)
            lines.append(Line("one by one", row, size, seconds))
            print(f"{row:6} one by one {size} {seconds:.1f} s", flush=True)
        if place < chosen.marabou:
            peer = Marabou()
            size, seconds = one_by_one(question, chosen.limit, peer, chosen.each)
            peer.close()
            lines.append(Line("marabou", row, size, seconds))
            print(f"{row:6} marabou {size} {seconds:.1f} s", flush=True)
    _print(lines)
    print(f"top pixels of IG at equal size suffice: {top} of {len(rows)}")
    return {
        "features": network.input_size,
        "radius": chosen.radius,
        "digits": len(rows),
        "gradients_suffice": top,
        "ways": {way: _means(lines, way) for way in dict.fromkeys(line.way for line in lines)},
        "lines": [asdict(line) for line in lines],
    }


def _means(lines: list[Line], way: str) -> dict[str, Any]:
    own = [line for line in lines if line.way == way]
    sizes, spent = ([getattr(line, key) for line in own] for key in ("size", "seconds"))
    return {
        "digits": len(own),
        "size": float(np.mean(sizes)),
        "fewest": min(sizes),
        "most": max(sizes),
        "seconds": float(np.mean(spent)),
        "certified": sum(line.certified for line in own),
    }


def _print(lines: list[Line]) -> None:
    print(f"{'way':12}{'digits':>8}{'kept':>8}{'seconds':>9}{'gap':>8}{'certified':>11}")
    for way in dict.fromkeys(line.way for line in lines):
        own = [line for line in lines if line.way == way]
        gaps = [1 - line.least / line.size if line.size else 0.0 for line in own]
        gap = f"{np.median(gaps):.1%}" if way == "ours" else "–"
        certified = str(sum(line.certified for line in own)) if way == "ours" else "–"
        size, spent = (np.mean([getattr(line, key) for line in own]) for key in ("size", "seconds"))
        print(f"{way:12}{len(own):8}{size:8.1f}{spent:9.1f}{gap:>8}{certified:>11}")


# -- tables ---------------------------------------------------------------------------------


def trained(inputs: Array, target: Array, classes: int) -> nn.Module:
    """A small network that reads columns as they are; ``classes`` 0: one real output."""
    torch.manual_seed(0)
    middle, spread = inputs.mean(0), inputs.std(0)
    x = torch.tensor((inputs - middle) / spread, dtype=torch.float32)
    first = nn.Linear(x.shape[1], 8)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, classes or 1))
    y = torch.tensor(target) if classes else torch.tensor(target, dtype=torch.float32)[:, None]
    steps = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.5)
    for _ in range(EPOCHS):
        steps.zero_grad()
        value = model(x)
        loss = nn.functional.cross_entropy(value, y) if classes else ((value - y) ** 2).mean()
        loss = loss + 2e-3 * first.weight.abs().sum()  # few columns are read
        loss.backward()
        steps.step()
    scale = torch.tensor(1 / spread, dtype=torch.float32)
    shift = torch.tensor(middle, dtype=torch.float32) * scale
    with torch.no_grad():
        first.bias -= first.weight @ shift
        first.weight *= scale
    return model.eval()


def tables(chosen: argparse.Namespace) -> dict[str, Any]:
    """Breast cancer (classes) and diabetes (± t of the progression, scaled to 0…1)."""
    results: dict[str, Any] = {}
    from sklearn.datasets import load_breast_cancer, load_diabetes

    for name, loaded, classes in (
        ("breast cancer", load_breast_cancer(), 2),
        ("diabetes", load_diabetes(scaled=False), 0),
    ):
        inputs = loaded.data.astype(np.float32).astype(np.float64)
        target = loaded.target if classes else loaded.target / loaded.target.max()
        network = load(trained(inputs, target, classes), (inputs.shape[1],))
        domain = Box.around(inputs)
        values = outputs(network, inputs)
        fit = (
            (values.argmax(1) == target).mean()
            if classes
            else np.corrcoef(values[:, 0], target)[0, 1]
        )
        print(f"{name}: {'accuracy' if classes else 'correlation'} {fit:.3f}")
        rows = range(0, len(inputs), max(1, len(inputs) // chosen.most))
        kept, spent, gaps, bad, proved, wide = [], [], [], 0, 0, 0
        for row in list(rows)[: chosen.most]:
            begun = time.process_time()
            found = sufficient_features(
                network,
                inputs[row],
                domain,
                settings=SufficientSettings(
                    budget=chosen.budget, each=0.3, within=None if classes else 0.2
                ),
            )
            kept.append(found.size)
            spent.append(time.process_time() - begun)
            gaps.append(found.gap)
            proved += found.verdict.exact
            wide += found.widened is not None
            bad += violated(found)
        print(
            f"  {len(kept)} rows: kept {np.mean(kept):.1f} of {inputs.shape[1]}, gap "
            f"{np.median(gaps):.1%}, median {np.median(spent):.2f} s, longest {max(spent):.2f} s, "
            f"{proved} certified, {wide} with intervals, {bad} of {SAMPLES} samples each violated",
            flush=True,
        )
        results[name] = {
            "rows": len(kept),
            "columns": inputs.shape[1],
            "size": float(np.mean(kept)),
            "gap": float(np.median(gaps)),
            "seconds": float(np.median(spent)),
            "certified": proved,
            "samples_violated": bad,
        }
    return results


def violated(found: SufficientFeatures) -> int:
    """How many samples of the sentence's box lack the property."""
    if not found.verdict.is_proved:
        return 0
    box = found.claim.box if found.widened is None else found.widened.box
    points = box.sample(SAMPLES, np.random.default_rng(0))
    question = found.question
    shaped = points.reshape(-1, *question.network.input_shape)
    return int((~question.property.holds(outputs(question.network, shaped))).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models/mnist-mlp.onnx"))
    parser.add_argument("--radius", type=float, default=0.05)
    parser.add_argument("--most", type=int, default=15, help="digits, or rows of a table")
    parser.add_argument("--beside", type=int, default=0, help="digits for one by one")
    parser.add_argument("--marabou", type=int, default=0, help="digits for Marabou")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one of these")
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--each", type=float, default=3.0)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--clock", action="store_true", help="limits are of the clock")
    parser.add_argument("--out", type=Path, help="write the table there as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if not chosen.clock and not chosen.marabou:  # Marabou has a process of its own
        deadline.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    found = (tables if chosen.tables else pictures)(chosen)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
