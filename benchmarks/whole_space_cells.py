"""Whether an input's cell implies its class over [0, 1]^n, for networks too large for one program.

In the cell of a held-out input, where every neuron has its phase and every max-pool its winner,
the network is affine, and one linear program a rival is exact.  Its rows, some tens of
thousands, are added as solutions violate them.  A rival that can win is a counterexample, and
counts once it replays: no pattern can hold for that input.  Where none can, the solver says
(in floats, which is no proof) that decisions and winners together imply the class.

    python benchmarks/whole_space_cells.py models/mnist-cnn.onnx --inputs 20

``--shared 3 10 50`` asks instead how wide on/off patterns could be: for each class the decisions
that the 3, 10, 50 training inputs nearest to its middle share, how many neurons they leave open,
and whether a gradient search from ``STARTS`` inputs refutes them (a miss shows nothing).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import highspy
import numpy as np
import torch
from numpy.typing import NDArray

from precond.data.datasets import load_dataset, split
from precond.formats.load import load
from precond.mine.violators import Violators, hunt
from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.layers import MaxPool2d, ReLU
from precond.network.operators import operators
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.replay import replay
from precond.property import Property
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

Array = NDArray[np.float64]
ROWS = 150  # added at once, the most violated first
ROUNDS = 60  # of one rival
STARTS = 48  # of a gradient search
INSIDE = 1e-6  # by which every row has to hold, after each is scaled to entries of sum 1


def cell(network: Network, x: Array) -> tuple[Array, Array, Array, Array]:
    """(A, a, B, b): x's cell is ``A x + a ≥ 0`` and there the outputs are ``B x + b``."""
    ops = operators(network, "cpu", torch.float64)
    size, shape = x.size, network.input_shape
    names = [node.name for node in network.nodes]
    real = forward(ops, {INPUT: torch.tensor(x).reshape(1, *shape)}, names)
    ends = torch.cat([torch.zeros(1, size), torch.eye(size)]).to(torch.float64)
    values = {INPUT: ends.reshape(-1, *shape)}  # at 0 and at every unit vector
    rows: list[torch.Tensor] = []  # the same, of what has to be at least 0
    for node in network.nodes:
        sources = [values[source] for source in node.inputs]
        if isinstance(node.layer, ReLU):
            on = real[node.inputs[0]][0] > 0
            rows.append(sources[0].flatten(1) * torch.where(on, 1.0, -1.0).flatten())
            values[node.name] = sources[0] * on
        elif isinstance(node.layer, MaxPool2d):
            windows = node.layer.windows(network.shapes[node.inputs[0]])
            z = real[node.inputs[0]][0].flatten().numpy()
            seen = np.where(windows >= 0, z[windows], -np.inf)
            winner = windows[np.arange(len(windows)), seen.argmax(1)]
            flat = sources[0].flatten(1)
            for other in windows.T:
                which = (other >= 0) & (other != winner)
                rows.append(flat[:, winner[which]] - flat[:, other[which]])
            values[node.name] = flat[:, winner].reshape(-1, *network.shapes[node.name])
        else:
            values[node.name] = ops.affine[node.name].apply(sources)
    every, outputs = torch.cat(rows, 1).numpy(), values[network.output].flatten(1).numpy()
    matrix, constant = (every[1:] - every[0]).T, every[0]
    scale = np.abs(matrix).sum(1)
    used = scale > 0  # two equal candidates: nothing to hold
    matrix, constant = matrix[used] / scale[used, None], constant[used] / scale[used]
    return matrix, constant, (outputs[1:] - outputs[0]).T, outputs[0]


class Cell:
    """The program of one cell; its rows stay from one rival to the next."""

    def __init__(self, matrix: Array, constant: Array) -> None:
        self.matrix, self.constant = matrix, constant
        self.added = np.zeros(len(constant), dtype=np.bool_)
        self.size = matrix.shape[1]
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = self.size, 0
        program.col_cost_ = np.zeros(self.size)
        program.col_lower_, program.col_upper_ = np.zeros(self.size), np.ones(self.size)
        program.sense_ = highspy.ObjSense.kMaximize
        program.a_matrix_.start_ = np.zeros(self.size + 1, dtype=np.int32)
        self.highs = highspy.Highs()
        self.highs.setOptionValue("output_flag", False)
        self.highs.setOptionValue("threads", 1)
        self.highs.passModel(program)

    def largest(self, form: Array, constant: float) -> tuple[float | None, Array]:
        """Of ``form · x + constant``: the most over the rows so far where that is not positive
        already, else over the cell; None where HiGHS gives up."""
        every = np.arange(self.size, dtype=np.int32)
        for _ in range(ROUNDS):
            self.highs.changeColsCost(self.size, every, form)
            self.highs.run()
            if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                return None, np.zeros(self.size)
            x = np.array(self.highs.getSolution().col_value)
            value = float(form @ x) + constant
            slack = self.matrix @ x + self.constant
            missed = np.flatnonzero((slack < 0.5 * INSIDE) & ~self.added)
            if value <= 0 or not len(missed):
                return value, x
            self._add(missed[np.argsort(slack[missed])][:ROWS], every)
        return None, np.zeros(self.size)

    def _add(self, rows: NDArray[np.int64], every: NDArray[np.int32]) -> None:
        self.added[rows] = True
        count = len(rows)
        starts = np.arange(0, count * self.size, self.size, dtype=np.int32)
        self.highs.addRows(
            count,
            INSIDE - self.constant[rows],
            np.full(count, np.inf),
            count * self.size,
            starts,
            np.tile(every, count),
            self.matrix[rows].ravel(),
        )


def shared(network: Network, counts: list[int]) -> None:
    """Patterns shared by the inputs nearest to a class's middle, attacked."""
    dataset = load_dataset("mnist-5k")
    train, _ = split(dataset)
    every = record(network, dataset.inputs[train])
    flat = np.asarray(dataset.flat[train], dtype=np.float64)
    box = Box.uniform(flat.shape[1], 0.0, 1.0)
    rng = np.random.default_rng(0)
    for label in range(network.output_size):
        own = np.flatnonzero(every.predicted == label)
        signatures, inputs = every.rows(own), flat[own]
        on = np.concatenate([signatures.decisions(n) for n in network.decision_layers], axis=1)
        middle = int(np.abs(on - on.mean(0)).sum(1).argmin())
        apart = on != on[middle]
        order = np.argsort(apart.sum(1), kind="stable")
        nearest = int(apart[order[1]].sum())
        print(f"class {label}: {on.shape[1]} decisions, {nearest} differ for the nearest input")
        claim = Claim(network, box, DecisionPattern(), Property.argmax(label, network.output_size))
        literals = Literals.of(network, DecisionPattern.of_row(signatures, middle))
        pool = Violators(claim, literals)
        for count in sorted((min(c, len(own)) for c in counts), reverse=True):
            kept = ~apart[order[:count]].any(0)
            share = rng.uniform(0.0, 1.0, (STARTS, 1))
            rows = rng.integers(0, len(own), STARTS)
            starts = (1 - share) * inputs[rows] + share * box.sample(STARTS, rng)
            every_kept = np.repeat(kept[None], STARTS, axis=0)
            hunt(pool, every_kept, starts, inputs[middle], Deadline.after(120), steps=60)
            said = "refuted" if pool.refutes(kept) else "not refuted"
            print(f"  nearest {count:>4}: {int((~kept).sum()):>6} open, {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--inputs", type=int, default=20, help="random held-out digits")
    parser.add_argument("--shared", type=int, nargs="+", metavar="N", help="patterns instead")
    chosen = parser.parse_args()
    network = load(str(chosen.model))
    if chosen.shared:
        shared(network, chosen.shared)
        return
    dataset = load_dataset("mnist-5k")
    _, held_out = split(dataset)
    rows = np.random.default_rng(0).permutation(held_out)[: chosen.inputs]
    refuted = implied = 0
    for row in rows:
        began = time.perf_counter()
        x = np.asarray(dataset.inputs[row], dtype=np.float64).reshape(-1)
        signature = record(network, dataset.inputs[row][None])
        label = int(signature.predicted[0])
        matrix, constant, outputs, offsets = cell(network, x)
        program = Cell(matrix, constant)
        goal = Property.argmax(label, network.output_size)
        pattern = DecisionPattern.of_row(signature, 0)
        claim = Claim(network, Box.uniform(x.size, 0.0, 1.0), pattern, goal)
        found: list[float | None] = []
        shown = False
        for rival in np.argsort(-(outputs @ x + offsets)):
            if rival == label:
                continue
            form, offset = outputs[rival] - outputs[label], offsets[rival] - offsets[label]
            value, best = program.largest(form, float(offset))
            found.append(value)
            if value is not None and value > 0 and replay(claim, np.clip(best, 0, 1)).counts:
                shown = True
                break
        nearest = max((v for v in found if v is not None), default=float("nan"))
        closed = all(v is not None and v < -INSIDE for v in found)
        refuted, implied = refuted + shown, implied + closed
        said = "refuted" if shown else "implied" if closed else "open"
        print(
            f"{row:>5} class {label}  {said:<8} nearest rival {nearest:8.3f}  "
            f"{int(program.added.sum())} of {len(constant)} rows  "
            f"{time.perf_counter() - began:5.1f} s",
            flush=True,
        )
    print(f"{chosen.model.name}: {implied} implied, {refuted} refuted of {len(rows)} cells")


if __name__ == "__main__":
    main()
