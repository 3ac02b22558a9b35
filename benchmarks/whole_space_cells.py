"""Whether an input's cell implies its class over [0, 1]^n, for networks too large for one program.

In the cell of a held-out input, where every neuron has its phase and every max-pool its winner,
the network is affine, and one linear program a rival is exact.  Its rows, some tens of
thousands, are added as solutions violate them.  A rival that can win is a counterexample, and
counts once it replays: no pattern can hold for that input.  Where none can, the solver says
(in floats, which is no proof) that decisions and winners together imply the class.

    python benchmarks/whole_space_cells.py models/mnist-cnn.onnx --inputs 20
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import highspy
import numpy as np
import torch
from numpy.typing import NDArray

from precond.datasets import load_dataset, split
from precond.formats.load import load
from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.layers import MaxPool2d, ReLU
from precond.network.operators import operators
from precond.proof.claim import Claim
from precond.proof.replay import replay
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import record

Array = NDArray[np.float64]
ROWS = 150  # added at once, the most violated first
ROUNDS = 60  # of one rival
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--inputs", type=int, default=20, help="random held-out digits")
    chosen = parser.parse_args()
    network = load(str(chosen.model))
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
