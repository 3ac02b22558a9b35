"""Diagnosis, measured: ``python -m benchmarks.diagnosis``.

Prints a table: method, published figure, ours, why it differs.  Parts (``--only PART …``):

- ``consistency``: two networks of ``models/``; three seeds of a small network; a weak network, of
  300 pictures, against a strong one, of 3,000;
- ``rationales``: the pictures that ``models/mnist-cnn.onnx`` takes for a 3;
- ``spheres``, ``flipped``: margins in subspaces (``benchmarks.concepts`` has T1);
- ``bands``, ``spectrum``: training on bands of frequencies, and the order in which a sum of
  sinusoids is learned;
- ``graph``: part patterns of a network that tells rendered scenes;
- ``plane``: the information plane of a small residual network on mnist-5k;
- ``questions``: a model of generated tables with and without planted shortcuts;
- ``explainer``: an explainer of a small network on mnist-5k.

Seeded.  All parts on one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

# ruff: noqa: E402
# A file of this folder has the package's name; the folder must not come first.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]

import numpy as np
import torch
from scipy.fft import dctn, idctn
from torch import nn

from attribution import (
    ConsistencySettings,
    Slice,
    Subspace,
    TrainingSchedule,
    cosine_bands,
    generated_questions,
    knowledge_consistency,
    pattern_agreement,
    question_report,
    rationale_tree,
    rationales,
    reader_answers,
    subspace_margins,
    train_reader,
    whole_space,
    word_attributions,
)
from attribution.evaluate import outputs, outputs_from, values_at
from attribution.training import seeded, train_classifier
from benchmarks.trained_diagnosis import TRAINED_PARTS, Line, percent, pictures
from precond import load
from precond.apply.certification.subspaces import certified_margins
from precond.data import load_dataset
from precond.network import Network
from precond.proof.deadline import Deadline

MODELS = Path(__file__).parents[1] / "models"


def small_network(x: np.ndarray, y: np.ndarray, *, seed: int, epochs: int = 8) -> nn.Module:
    """784-48-24-10, trained."""

    def build() -> nn.Module:
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU()),
            nn.Linear(24, 10),
        )

    inputs, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    training = TrainingSchedule(epochs=epochs, seed=seed)
    return train_classifier(seeded(build, seed), inputs, labels, training)


def accuracy(module: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    return float((outputs(Slice(module), x).argmax(1) == y).mean())


def consistency_lines() -> list[Line]:
    lines = [_models_line()]
    learned, held_out = pictures("mnist-5k", 3000, 1000)
    x = np.concatenate([learned.pictures, held_out.pictures])
    rows = np.arange(len(learned.labels), len(x))
    first, second, third = (
        small_network(learned.pictures, learned.labels, seed=seed) for seed in (0, 1, 2)
    )
    weak = small_network(learned.pictures[:300], learned.labels[:300], seed=0, epochs=40)
    settings = ConsistencySettings(training=TrainingSchedule(epochs=20, batch=128))
    halves = [
        small_network(learned.pictures[part], learned.labels[part], seed=0, epochs=16)
        for part in (slice(0, None, 2), slice(1, None, 2))
    ]
    features = [values_at(Slice(one, "4"), x) for one in (first, second, third, weak, *halves)]

    def known(a: int, b: int) -> str:
        shares = knowledge_consistency(
            features[a], features[b], held_out=rows, settings=settings
        ).explained
        return "/".join(percent(share) for share in shares)

    pairs = ", ".join(known(a, b) for a, b in ((0, 1), (1, 2), (2, 0)))
    lines.append(
        (
            "Knowledge consistency, three seeds, orders 0/≤1/≤2",
            "other networks",
            f"{pairs} (%) of the last hidden layer",
            "784-48-24-10 on mnist-5k",
        )
    )
    lines.append(
        (
            "Knowledge consistency, two halves of the data, the same orders",
            "other networks",
            f"{known(4, 5)}, {known(5, 4)} (%)",
            "1,500 pictures each, the same seed",
        )
    )
    refined = knowledge_consistency(features[3], features[0], held_out=rows, settings=settings)
    told = outputs_from(Slice(weak, "4"), x[rows], refined.rebuilt).argmax(1)
    before = accuracy(weak, x[rows], held_out.labels)
    after = float((told == held_out.labels).mean())
    lines.append(
        (
            "Knowledge consistency, weak and strong",
            "other networks",
            f"strong from weak {known(0, 3)} %, weak from strong {known(3, 0)} %; the weak "
            f"network is right on {percent(before)} %, on the part of its features that the "
            f"strong one knows {percent(after)} %; the strong one on "
            f"{percent(accuracy(first, x[rows], held_out.labels))} %",
            "300 and 3,000 pictures",
        )
    )
    return lines


def _models_line() -> Line:
    data = load_dataset("mnist-5k")
    networks = [load(MODELS / f"{name}.onnx") for name in ("mnist-cnn", "mnist-10x10")]
    learned = np.random.default_rng(0).permutation(data.train)[:2000]
    rows = np.concatenate([learned, data.held_out])
    held_out = np.arange(len(learned), len(rows))
    features = [
        values_at(
            Slice(one, one.decision_layers[-1]), data.flat[rows].reshape(-1, *one.input_shape)
        )
        for one in networks
    ]
    shares = [
        knowledge_consistency(features[k], features[1 - k], held_out=held_out).explained
        for k in (0, 1)
    ]
    texts = ["/".join(percent(share) for share in one) for one in shares]
    return (
        "Knowledge consistency, mnist-cnn and mnist-10x10, last hidden layers",
        "other networks",
        f"of the first {texts[0]} %, of the second {texts[1]} %",
        "orders 0/≤1/≤2 of the other one",
    )


def rationale_lines() -> list[Line]:
    network, data = load(MODELS / "mnist-cnn.onnx"), load_dataset("mnist-5k")
    assert isinstance(network, Network) and data.labels is not None
    rows = np.flatnonzero(data.labels == 3)[:300]
    inputs = data.flat[rows].reshape(-1, *network.input_shape)
    dense = [name for name in network.decision_layers if len(network.shapes[name]) == 1]
    last_pool = [n.name for n in network.nodes if type(n.layer).__name__ == "MaxPool2d"][-1]
    found = rationales(Slice(network, last_pool), inputs, 3)
    tree = rationale_tree(found)
    counts = (1, 2, 5, 20, 100)
    curve = ", ".join(
        f"{f.modes}: {100 * f.error:.1f} and {100 * f.likeness:.0f}, depth {f.depth}"
        for f in tree.fidelity(counts)
    )
    cut = [values_at(Slice(network, name), inputs) > 0 for name in dense]
    patterns = np.concatenate(cut, axis=1)
    near = ", ".join(
        f"{count}: {alike:.2f}"
        for count in (5, 20, 100)
        for _, alike in [pattern_agreement(tree.modes(count), patterns)]
    )
    equal = len(np.unique(patterns, axis=0))
    last = len(np.unique(cut[-1], axis=0))
    return [
        (
            "Tree of rationales, modes: error and likeness (%)",
            "other networks",
            curve,
            f"`mnist-cnn`, behind its last pool; {len(rows)} pictures of a 3",
        ),
        (
            "Modes against decision patterns (adjusted mutual information), modes: value",
            "ours",
            f"{near}; {equal} patterns of the dense layers ({last} of the last one)",
            "as many groups of like patterns as modes",
        ),
    ]


def sphere_lines() -> list[Line]:
    """Points on spheres around 0 in 10 dimensions; the radius where the class changes."""
    generator = np.random.default_rng(0)

    def points(radii: tuple[float, ...], count: int) -> np.ndarray:
        x = generator.normal(size=(count, 10))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x * generator.choice(radii, size=(count, 1))

    module: nn.Module = seeded(
        lambda: nn.Sequential(
            *(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        ),
        0,
    )
    radii = []
    for inner in ((1.0, 3.0), (1.0,), (1.0, 3.0)):
        x = np.concatenate([points(inner, 1500), points((4.0, 5.0), 1500)])
        y = np.repeat([0, 1], 1500)
        given = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
        train_classifier(module, *given, TrainingSchedule(epochs=15))
        network, found = load(module, (10,)), []
        for start in points((4.0,), 20):
            ray = Subspace("ray", start[None] / np.linalg.norm(start))
            found.append(4 - subspace_margins(network, start[None], [ray]).sizes[0, 0])
        radii.append(float(np.median(found)))
    return [
        (
            "Hyperspheres {1, 3, 4, 5}, radius of the boundary",
            "3.47, 2.75, 3.50",
            ", ".join(f"{radius:.2f}" for radius in radii),
            "our reading: {1, 3} against {4, 5}; trained on without 3; with 3 again. 10 dimensions",
        )
    ]


def flipped_lines() -> list[Line]:
    """Margins by bands of networks for digits and for digits whose frequencies are turned round."""
    learned, held_out = pictures("mnist-5k", 3000, 1000)
    lines: list[Line] = []
    for name, turned in (("MNIST", False), ("flipped MNIST", True)):
        x, shown = (_turned(one, turned) for one in (learned.pictures, held_out.pictures[:20]))
        module = small_network(x, learned.labels, seed=0)
        network = load(module, (1, 28, 28))
        spaces = (whole_space(784), *cosine_bands((28, 28), width=7, count=4))
        inputs = shown.reshape(-1, *network.input_shape)
        found = subspace_margins(network, inputs, spaces)
        certified = certified_margins(
            network,
            inputs,
            found.predicted,
            subspaces=spaces,
            upper=found.sizes,
            deadline=Deadline.after(60),
        )
        text = ", ".join(
            f"{one:.2f} ({low:.3f})"
            for one, low in zip(found.medians, np.median(certified, axis=1), strict=True)
        )
        right = accuracy(module, _turned(held_out.pictures, turned), held_out.labels)
        lines.append(
            (
                f"Margins in DCT bands, {name}",
                "drawn only",
                f"all directions, then slow to fast: {text}",
                f"784-48-24-10, {percent(right)} % right; 20 inputs; in brackets certified",
            )
        )
    return lines


def _turned(x: np.ndarray, turned: bool) -> np.ndarray:
    if not turned:
        return x
    waves = dctn(x, axes=(-2, -1), norm="ortho")[..., ::-1, ::-1]
    return np.asarray(idctn(waves, axes=(-2, -1), norm="ortho"))


def question_lines() -> list[Line]:
    plain, lines = generated_questions(1000, seed=3), []
    for name, by_word, by_row in (("none", 0.0, 0.0), ("word", 1.0, 0.0), ("first row", 0.0, 1.0)):
        model = train_reader(generated_questions(4000, by_word=by_word, by_row=by_row, seed=1))
        questions = generated_questions(1000, by_word=by_word, by_row=by_row, seed=2)
        answer = reader_answers(model)
        found = question_report(answer, questions, word_attributions(model, questions))
        alone = ", ".join(f"{count}: {percent(share)}" for count, share in found.alone)
        texts = (
            f"right {percent(found.accuracy)} %",
            f"without the shortcut {percent((answer(plain) == plain.answers).mean())} %",
            f"most often on top {', '.join(found.words[:4])}",
            f"right with so many words left {alone} %",
            f"subject ignored {percent(found.subject_ignored)} %",
            f"all prefixes {percent(found.all_prefixes)} %",
            f"no stop words {percent(found.without_stop_words)} %",
            f"rows moved {percent(found.rows_moved)} %",
        )
        why = "generated tables and questions, 4,000 to learn from"
        lines.append((f"Questions, shortcut: {name}", "other models", "; ".join(texts), why))
    return lines


PARTS: dict[str, Callable[[], list[Line]]] = {
    "consistency": consistency_lines,
    "rationales": rationale_lines,
    "spheres": sphere_lines,
    "flipped": flipped_lines,
    "questions": question_lines,
    **TRAINED_PARTS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), metavar="PART")
    only = set(parser.parse_args().only or PARTS)
    torch.set_num_threads(1)
    print("| method | published | ours | why it differs |\n|---|---|---|---|")
    for name, part in PARTS.items():
        if name in only:
            begun = time.process_time()
            for line in part():
                print("| " + " | ".join(line) + " |", flush=True)
            spent = time.process_time() - begun
            print(f"{name}: {spent:.0f} CPU seconds", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
