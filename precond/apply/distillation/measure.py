"""Measure a fast path, the plain network and the rivals, in every runtime there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from precond.apply.distillation.latency import BATCHES, Run, latencies
from precond.apply.distillation.learn import Distilled
from precond.apply.distillation.path import FastPath
from precond.apply.distillation.proved_rules import Checkpoint
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.rivals import linear_path, small_network
from precond.apply.distillation.runtime import OnnxRun
from precond.apply.distillation.samples import Samples
from precond.apply.distillation.settings import Promise, Training
from precond.apply.distillation.table import FAST, PLAIN, Runtime, TradeOffRow, TradeOffTable
from precond.apply.distillation.votes import VoteExit
from precond.apply.distillation.write_onnx import fast_path_model, plain_model
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment

PART = 256


class Plain(nn.Module):
    """The whole network, inputs to classes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.stage = NetworkSegment(network, INPUT, [network.output])

    def forward(self, inputs: Tensor) -> Tensor:
        network = self.network
        (logits,) = self.stage(inputs.reshape(len(inputs), *network.input_shape))
        return network.classes.scores(cast(Tensor, logits.flatten(1))).argmax(1)


Method = Plain | FastPath


@dataclass(frozen=True)
class _Given:
    """What a method answers: labels (N,), the share answered early, answers changed."""

    labels: Tensor
    coverage: float | None


def trade_off(
    network: Network,
    distilled: Distilled,
    samples: Samples,
    *,
    promise: Promise,
    training: Training,
    compile: bool = True,
) -> TradeOffTable:
    """Measure the fast path, the plain network and the rivals on the test inputs.

    Leaves the fast path running eagerly.  ``compile`` also measures ``torch.compile``; where
    the machine has no compiler, a note says so.
    """
    test = samples.test
    small, name = small_network(network, samples.fit, training)
    methods: dict[str, Method] = {PLAIN: Plain(network), FAST: distilled.path}
    place = _place(distilled.path)
    for thin in (False, True) if place.step > 1 else (False,):
        rival = linear_path(
            network,
            place,
            samples,
            thin=thin,
            promise=promise,
            training=training,
        )
        methods[cast(str, rival.exits[0].name)] = rival
    methods[name] = Plain(small)
    notes: list[str] = []
    runs: dict[tuple[str, Runtime], Run] = {}
    for method, run in methods.items():
        runs[method, Runtime.ONNX] = OnnxRun(_model(run))
        runs[method, Runtime.TORCH] = run
    if compile:
        notes += _compiled(methods, runs, test.inputs)
    wall, processor = latencies(runs, test.inputs)
    if torch.cuda.is_available():
        for run in methods.values():
            run.to("cuda")
        on_gpu: dict[tuple[str, Runtime], Run] = {
            (method, Runtime.GPU): run for method, run in methods.items()
        }
        for found, more in zip(
            (wall, processor), latencies(on_gpu, test.inputs.cuda()), strict=True
        ):
            found.update(more)
        for run in methods.values():
            run.to("cpu")
    else:
        notes.append("GPU not measured: this machine has none")
    given = {method: _answers(run, test.inputs) for method, run in methods.items()}
    own = given[PLAIN].labels
    base = float((own == test.labels).double().mean())
    rows = []
    for method, runtime in sorted(wall, key=lambda key: list(methods).index(key[0])):
        labels = given[method].labels
        accuracy = float((labels == test.labels).double().mean())
        rows.append(
            TradeOffRow(
                method=method,
                runtime=runtime,
                coverage=given[method].coverage,
                accuracy=accuracy,
                loss=100 * (base - accuracy),
                changed=int((labels != own).sum()),
                wall=wall[method, runtime],
                processor=processor[method, runtime],
            )
        )
    return TradeOffTable(
        tuple(rows), BATCHES, len(test), threads=torch.get_num_threads(), notes=tuple(notes)
    )


def _place(path: FastPath) -> Reading:
    """Where the rivals stand: at the first exit."""
    first = path.exits[0]
    if isinstance(first, VoteExit):
        return first.reading
    assert isinstance(first, Checkpoint)
    return Reading(first.layer)


def _model(method: Method) -> Any:
    return fast_path_model(method) if isinstance(method, FastPath) else plain_model(method.network)


def _answers(run: Method, inputs: Tensor) -> _Given:
    if isinstance(run, FastPath):
        found = run.predict(inputs.numpy(), batch=PART)
        early = float((found.exits < len(run.exits)).mean())
        return _Given(torch.as_tensor(found.labels), early)
    with torch.inference_mode():
        return _Given(torch.cat([run(part) for part in torch.split(inputs, PART)]), coverage=None)


def _compiled(
    methods: dict[str, Method], runs: dict[tuple[str, Runtime], Run], inputs: Tensor
) -> list[str]:
    """Add the plain network and the paths, compiled, to ``runs``; a remark where that fails."""
    made: dict[tuple[str, Runtime], Run] = {}
    prepare = cast(Callable[[nn.Module], Callable[..., Any]], torch.compile)
    try:
        for name, method in methods.items():
            if isinstance(method, FastPath):
                run: Run = FastPath(
                    method.network, cast(Any, list(method.exits)), method.proved
                ).use(prepare)
            else:
                run = prepare(method)
            with torch.inference_mode():
                for size in (1, 256):
                    for part in torch.split(inputs[: 8 * size], size):
                        run(part)
            made[name, Runtime.COMPILED] = run
    except (RuntimeError, ImportError, OSError) as error:
        return [f"torch.compile not measured: {str(error).strip().splitlines()[0]}"]
    runs |= made
    return []
