"""The trade-off table: accuracy, coverage and latency of a fast path beside its rivals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from precond.apply.distillation.latency import BATCHES, Run, Times, latencies
from precond.apply.distillation.learn import Distilled
from precond.apply.distillation.path import FastPath
from precond.apply.distillation.proved_rules import Checkpoint
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.rivals import linear_path, small_network
from precond.apply.distillation.training import Sample
from precond.apply.distillation.votes import Training, VoteExit
from precond.basics.terminal import fitted
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment


@dataclass(frozen=True, kw_only=True)
class TradeOffRow:
    """One method on the test inputs: ``coverage`` (share answered early), ``accuracy`` and
    ``loss`` (points below the plain network), ``changed`` (answers other than the plain
    network's); milliseconds for each batch size, None where not measured, on a CPU (``cpu``:
    on the wall, ``processor``: of all threads) and a GPU."""

    method: str
    coverage: float | None
    accuracy: float
    loss: float
    changed: int
    cpu: Times
    processor: Times
    gpu: Times


@dataclass(frozen=True)
class TradeOffTable:
    """Rows, the batch sizes of their latencies, how many test inputs, and remarks."""

    rows: tuple[TradeOffRow, ...]
    batches: tuple[int, ...]
    inputs: int
    threads: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The head and the rows, without what was not measured at all."""
        head = ["method", "coverage", "accuracy", "loss, points", "answers changed"]
        head += [f"CPU ms, batch {b}" for b in self.batches]
        head += [f"processor ms, batch {b}" for b in self.batches]
        gpu = any(value is not None for row in self.rows for value in row.gpu)
        head += [f"GPU ms, batch {b}" for b in self.batches] if gpu else []
        rows = [
            (
                row.method,
                "–" if row.coverage is None else f"{100 * row.coverage:.1f} %",
                f"{100 * row.accuracy:.2f} %",
                f"{row.loss:+.2f}",
                f"{row.changed}",
                *map(_milliseconds, (*row.cpu, *row.processor, *(row.gpu if gpu else ()))),
            )
            for row in self.rows
        ]
        return tuple(head), rows

    def lines(self) -> list[str]:
        """A Markdown table."""
        head, rows = self.cells()
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        return lines + ["| " + " | ".join(row) + " |" for row in rows]

    def terminal_lines(self) -> list[str]:
        """A table of fewer columns, for a terminal."""
        lines = [
            f"{'method':<36} {'coverage':>9} {'accuracy':>9} {'loss':>7}"
            + "".join(f" {f'ms, batch {b}':>14}" for b in self.batches)
        ]
        for row, cells in zip(self.rows, self.cells()[1], strict=True):
            lines.append(
                f"{fitted(row.method, 36)} {cells[1]:>9} {cells[2]:>9} {cells[3]:>7}"
                + "".join(f" {_milliseconds(value):>14}" for value in row.cpu)
            )
        return lines

    def row(self, method: str) -> TradeOffRow:
        return next(row for row in self.rows if row.method == method)

    def speedups(self) -> tuple[float | None, ...]:
        """For each batch size the time of the plain network over that of the fast path."""
        pairs = zip(self.row("plain network").cpu, self.row("fast path").cpu, strict=True)
        return tuple(None if not (plain and fast) else plain / fast for plain, fast in pairs)

    @property
    def worth_it(self) -> bool:
        """Whether the fast path is faster at some batch size, or was not measured at any."""
        known = [value for value in self.speedups() if value is not None]
        return not known or max(known) > 1

    def slower(self) -> tuple[int, ...]:
        """The batch sizes at which the fast path takes longer than the plain network."""
        pairs = zip(self.row("plain network").cpu, self.row("fast path").cpu, strict=True)
        return tuple(
            size
            for size, (plain, fast) in zip(self.batches, pairs, strict=True)
            if plain is not None and fast is not None and fast > plain
        )


def _milliseconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


class Plain(nn.Module):
    """The whole network, inputs to classes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.shape, self.classes = network.input_shape, network.classes
        self.stage = NetworkSegment(network, INPUT, [network.output])

    def forward(self, inputs: Tensor) -> Tensor:
        (logits,) = self.stage(inputs.reshape(len(inputs), *self.shape))
        return self.classes.scores(cast(Tensor, logits.flatten(1))).argmax(1)


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs to learn from, to choose thresholds on, and to measure on."""

    fit: Sample
    validation: Sample
    test: Sample


def trade_off(
    network: Network,
    distilled: Distilled,
    samples: Samples,
    *,
    max_loss: float,
    training: Training,
    compile: bool = True,
) -> TradeOffTable:
    """Measure the fast path, the plain network and the rivals on the test inputs.

    Leaves the fast path running eagerly.  ``compile`` also measures ``torch.compile``; where
    the machine has no compiler, a note says so.
    """
    fit, validation, test = samples.fit, samples.validation, samples.test
    path = distilled.path
    first = path.exits[0]
    place = first.reading if isinstance(first, VoteExit) else Reading(_layer(first))
    rivals = [
        linear_path(
            network,
            reading=place,
            fit=fit,
            validation=validation,
            thin=thin,
            max_loss=max_loss,
            training=training,
        )
        for thin in ([False, True] if place.step > 1 else [False])
    ]
    plain, small = Plain(network), small_network(network, fit, training)
    methods: dict[str, nn.Module] = {"plain network": plain, "fast path": path}
    methods |= {cast(str, rival.exits[0].name): rival for rival in rivals}
    methods[small.name] = small
    notes = []
    given = {name: _answers(run, test.inputs) for name, run in methods.items()}
    runs: dict[str, Run] = {name: run for name, run in methods.items()}
    if compile:
        quick = FastPath(network, cast(Any, list(path.exits)), distilled.proved)
        trouble = _compiled(plain, path=quick, inputs=test.inputs, runs=runs)
        if trouble is None:
            for name in ("plain network", "fast path"):
                given[f"{name}, compiled"] = given[name]
        else:
            notes.append(f"torch.compile not measured: {trouble}")
    cpu, processor = latencies(runs, test.inputs)
    gpu: dict[str, Times] = {}
    if torch.cuda.is_available():
        for run in methods.values():
            run.to("cuda")
        gpu, _ = latencies(dict(methods), test.inputs.to("cuda"))
        for run in methods.values():
            run.to("cpu")
    else:
        notes.append("GPU not measured: this machine has none")
    own, _ = given["plain network"]
    truth = test.labels
    base = float((own == truth).double().mean())
    rows = []
    for name, (labels, coverage) in given.items():
        accuracy = float((labels == truth).double().mean())
        rows.append(
            TradeOffRow(
                method=name,
                coverage=coverage,
                accuracy=accuracy,
                loss=100 * (base - accuracy),
                changed=int((labels != own).sum()),
                cpu=cpu[name],
                processor=processor[name],
                gpu=gpu.get(name, (None,) * len(BATCHES)),
            )
        )
    order = ["plain network", "plain network, compiled", "fast path", "fast path, compiled"]
    rows.sort(key=lambda row: order.index(row.method) if row.method in order else len(order))
    return TradeOffTable(
        tuple(rows),
        batches=BATCHES,
        inputs=len(test),
        threads=torch.get_num_threads(),
        notes=tuple(notes),
    )


def _layer(exit: nn.Module) -> str:
    assert isinstance(exit, Checkpoint)
    return exit.layer


def _answers(run: nn.Module, inputs: Tensor) -> tuple[Tensor, float | None]:
    """Labels of all inputs and, of a fast path, the share answered early."""
    if isinstance(run, FastPath):
        found = run.predict(inputs.numpy(), batch=256)
        early = float((found.exits < len(run.exits)).mean())
        return torch.as_tensor(found.labels), early
    with torch.inference_mode():
        return torch.cat([run(part) for part in torch.split(inputs, 256)]), None


def _compiled(plain: Plain, path: FastPath, inputs: Tensor, runs: dict[str, Run]) -> str | None:
    """Add compiled methods to ``runs``; why not, where that fails."""
    try:
        whole = cast(Run, torch.compile(plain))
        path.use(torch.compile)
        with torch.inference_mode():
            for size in (1, 256):
                for part in torch.split(inputs[: 8 * size], size):
                    whole(part)
                    path(part)
    except (RuntimeError, ImportError, OSError) as error:
        return str(error).strip().splitlines()[0]
    runs |= {"plain network, compiled": whole, "fast path, compiled": path}
    return None
