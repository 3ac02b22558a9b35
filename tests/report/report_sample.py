"""An analysis of a small network on scikit-learn's digits, made without miner or engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from precond.data.datasets import Dataset
from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.verdict import Attempt, Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.region.signature import Signatures
from precond.study.analysis import Analysis, CurvePoint, Domain, DomainKind


def digits_network(inputs: NDArray[np.float64], labels: NDArray[np.int64]) -> Network:
    """64 → 24 → 100 → 10: two layers of random features, the last fitted by least squares."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(24, 64)), rng.normal(size=(100, 24))
    shift = rng.normal(size=100)
    features = np.maximum(np.maximum(inputs @ first.T, 0) @ second.T + shift, 0)
    columns = np.hstack([features, np.ones((len(inputs), 1))])
    fitted = np.linalg.lstsq(columns, np.eye(10)[labels], rcond=None)[0]
    return Network(
        (
            Node("fc1", Affine(first, np.zeros(24)), ("input",)),
            Node("relu1", ReLU(), ("fc1",)),
            Node("fc2", Affine(second, shift), ("relu1",)),
            Node("relu2", ReLU(), ("fc2",)),
            Node("out", Affine(fitted[:-1].T, fitted[-1]), ("relu2",)),
        ),
        (64,),
        "digits.onnx",
    )


def support_of(
    pattern: DecisionPattern,
    label: int,
    data: Dataset,
    signatures: Signatures,
    box: Box | None = None,
) -> Support:
    """Counts and shares by the definitions in ``Support``, among the inputs in ``box``."""
    mask = pattern.holds(signatures)
    if box is not None:
        mask &= box.contains(data.inputs)
    right = signatures.predicted == label
    held = np.isin(np.arange(len(mask)), data.held_out)
    both, inside, of_label = (mask & right & held).sum(), (mask & held).sum(), (right & held).sum()
    return Support(
        int((mask & ~held).sum()),
        int(inside),
        float(both / inside) if inside else None,
        float(both / of_label) if of_label else None,
        (0.5, 0.99) if inside else None,
    )


def digits_analysis(
    *, model: Path = Path("models/digits.onnx"), images: bool = True, copies: int = 1
) -> Analysis:
    """Two layer rules and one input precondition per digit, of every status; ``copies`` times."""
    raw, target = load_digits(return_X_y=True)
    inputs, labels = raw / 16.0, target.astype(np.int64)
    network = digits_network(inputs, labels)
    rows = np.arange(len(inputs))
    data = Dataset(
        "digits", inputs, labels, (8, 8) if images else None, parts=(rows[:1200], rows[1200:])
    )
    signatures = record(network, inputs, values=True)
    bits = signatures.decisions("relu2")
    found: list[Precondition] = []
    for label in range(10):
        mine = signatures.predicted == label
        lift = bits[mine].mean(axis=0) - bits[~mine].mean(axis=0)
        order = np.argsort(-np.abs(lift))
        for literals, status in ((4, Status.EMPIRICAL), (7, list(Status)[label % 5])):
            phases = np.zeros(100, dtype=np.int8)
            phases[order[:literals]] = np.where(lift[order[:literals]] > 0, 1, -1)
            pattern = DecisionPattern.of_phases("relu2", phases)
            found.append(
                Precondition(
                    f"L{label}-{literals}",
                    Kind.LAYER,
                    str(label),
                    Property.argmax(label, 10),
                    pattern,
                    support_of(pattern, label, data, signatures),
                    verdict_of(status, inputs[int(np.argmin(mine))]),
                )
            )
        source = int(np.flatnonzero(mine)[label])
        pattern = DecisionPattern.of_row(signatures, source, ["relu1"])
        own = Box.ball(inputs[source], 0.3, within=Box.uniform(64, 0, 1))
        found.append(
            Precondition(
                f"I{label}",
                Kind.INPUT,
                str(label),
                Property.argmax(label, 10),
                pattern,
                support_of(pattern, label, data, signatures, own),
                verdict_of(Status.REFUTED if label == 4 else Status.PROVED, inputs[3], label != 7),
                box=Box.ball(inputs[source], 0.05, within=Box.uniform(64, 0, 1)),
                domain=own,
                source=source,
                proofs=17,
                note="Relaxed in order of influence." if label == 0 else "",
            )
        )
    curve = tuple(
        CurvePoint(t, 20 - k * 3, c, p)
        for k, (t, c, p) in enumerate(
            [(0.5, 0.91, 0.842), (0.8, 0.84, 0.913), (0.9, 0.71, 0.951), (0.99, 0.42, 0.996)]
        )
    )
    return Analysis(
        model,
        network,
        data,
        Domain(DomainKind.UNIT, Box.uniform(64, 0, 1)),
        "predicted",
        signatures,
        tuple(found) * copies,
        curve,
        84.2,
        120.0,
        True,
        ("Layer relu1 gave no rule with 20 inputs or more.",),
    )


def verdict_of(status: Status, witness: NDArray[np.float64], confirmed: bool = True) -> Verdict:
    """A verdict of that status as an engine would give it."""
    attempts = (
        Attempt("bounds", 0.004, note="no proof"),
        Attempt("branch", 1.2, note=status.value),
    )
    match status:
        case Status.PROVED:
            return Verdict(
                status, "branch", 1.204, confirmed, confirmed, None, 0.0173, "", attempts
            )
        case Status.REFUTED:
            return Verdict(status, "branch", 0.31, False, True, witness, None, "", attempts)
        case Status.UNKNOWN:
            return Verdict(status, "marabou", 20.0, reason="budget spent", attempts=attempts)
        case Status.VACUOUS:
            return Verdict(status, "highs", 0.02, True, attempts=attempts)
        case _:
            return Verdict(status, reason="precision below 1")
