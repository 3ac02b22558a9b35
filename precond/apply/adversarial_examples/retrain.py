"""A short retraining on adversarial examples, and what it changes.

The network goes on training on its own training inputs with the examples mixed in (so that they
make up about a fifth of every epoch), by Adam on cross-entropy, seeded.  Half of the examples'
anchors are kept out of it, to see what carries over.  A control is trained the same way without
examples, so that what more training alone does is seen too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from precond.apply.adversarial_examples.search import Adversarial
from precond.apply.adversarial_examples.settings import Retraining
from precond.apply.certification.batch import Balls, batch_attack
from precond.apply.true_classes import check_classes
from precond.data.datasets import Dataset
from precond.network.affine import AffineLast, AffineOperator, Convolution
from precond.network.evaluate import forward, outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, MaxPool2d
from precond.network.operators import Operators, affine_operator
from precond.proof.deadline import Deadline
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

Rows = NDArray[np.int64]
SHARE = 0.2  # of an epoch that are examples
BATCH = 64


@dataclass(frozen=True)
class Accuracy:
    """Shares given the right class: training inputs, held-out inputs, examples trained on,
    examples of anchors kept out, and held-out inputs under attack."""

    train: float
    held_out: float
    trained_on: float
    kept_out: float
    attacked: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Retrained:
    """The retrained network and the table: before, after the control, after the examples.

    ``trained_on`` and ``kept_out`` are numbers of the examples; ``attacked``: how many held-out
    inputs were attacked, each within ``radius``.
    """

    network: Network
    before: Accuracy
    control: Accuracy
    after: Accuracy
    trained_on: Rows
    kept_out: Rows
    attacked: int
    radius: Radius


def retrain(
    network: Network,
    data: Dataset,
    examples: Adversarial,
    settings: Retraining | None = None,
    *,
    radius: Radius | float,
    done: Callable[[], None] = lambda: None,
) -> Retrained:
    """Retrain on the training inputs of ``data`` and half of the ``examples``, by anchor.

    ``radius``: of the attack that accuracy is measured under, on the held-out inputs, cut to
    the data's ranges.
    """
    settings = settings or Retraining()
    device, ranges = settings.device, ValueRanges.of(data)
    radius = ranges.plain(Radius.of(radius))
    steps = ranges.steps(radius)
    inputs, train, held_out = data.flat, data.train, data.held_out
    labels = check_classes(data.labels, len(data), network)
    added, added_labels = examples.inputs(), examples.labels()
    anchors = np.array([e.anchor for e in examples.examples], dtype=np.int64)
    rng = np.random.default_rng(settings.seed)
    names = rng.permutation(np.unique(anchors))
    early = np.isin(anchors, names[: -(-len(names) // 2)])
    trained_on, late = np.flatnonzero(early), np.flatnonzero(~early)
    attacked = held_out[:1000]

    def judge(one: Network) -> Accuracy:
        def share(x: NDArray[np.floating], y: Rows) -> float:
            if not len(x):
                return float("nan")
            said = one.classes.predicted(outputs(one, x, device=device))
            return float((said == y).mean())

        points = np.asarray(inputs[attacked], dtype=np.float64)
        truth = labels[attacked]
        right = one.classes.predicted(outputs(one, points, device=device)) == truth
        low = np.maximum(points - steps, np.minimum(ranges.box.lower, points))
        high = np.minimum(points + steps, np.maximum(ranges.box.upper, points))
        found = batch_attack(
            one,
            Balls(points, lower=low, upper=high, classes=truth).rows(np.flatnonzero(right)),
            deadline=Deadline(float("inf")),
            seed=settings.seed,
            device=device,
        )
        return Accuracy(
            share(inputs[train], labels[train]),
            held_out=share(inputs[held_out], labels[held_out]),
            trained_on=share(added[trained_on], added_labels[trained_on]),
            kept_out=share(added[late], added_labels[late]),
            attacked=float((right.sum() - len(found)) / max(len(points), 1)),
        )

    own = np.asarray(inputs[train], dtype=np.float32)
    before = judge(network)
    plain = trained(network, inputs=own, labels=labels[train], settings=settings, done=done)
    control = judge(plain)
    times = max(1, round(SHARE / (1 - SHARE) * len(train) / max(len(trained_on), 1)))
    more = np.repeat(np.asarray(added[trained_on], dtype=np.float32), times, axis=0)
    mixed = np.concatenate([own, more])
    targets = np.concatenate([labels[train], np.repeat(added_labels[trained_on], times)])
    better = trained(network, inputs=mixed, labels=targets, settings=settings, done=done)
    return Retrained(
        network=better,
        before=before,
        control=control,
        after=judge(better),
        trained_on=trained_on,
        kept_out=late,
        attacked=len(attacked),
        radius=radius,
    )


def trained(
    network: Network,
    inputs: NDArray[np.float32],
    labels: Rows,
    settings: Retraining,
    done: Callable[[], None] = lambda: None,
) -> Network:
    """The network after so many epochs more on ``inputs`` (N, n) and their ``labels`` (N,)."""
    ops, weights = _learnable(network, settings.device)
    order = torch.Generator().manual_seed(settings.seed)
    x = torch.tensor(inputs).reshape(-1, *network.input_shape)
    y = torch.tensor(labels)
    optimizer = torch.optim.Adam([p for pair in weights.values() for p in pair], settings.rate)
    for _ in range(settings.epochs):
        shuffled = torch.randperm(len(x), generator=order)
        for start in range(0, len(x), BATCH):
            part = shuffled[start : start + BATCH]
            optimizer.zero_grad()
            values = forward(ops, {INPUT: x[part].to(ops.device)}, [network.output])
            scores = network.classes.scores(values[network.output].flatten(1))
            loss = F.cross_entropy(scores, y[part].to(ops.device))
            torch.autograd.backward(loss)
            optimizer.step()
        done()
    return _with_weights(network, weights)


def _learnable(network: Network, device: str) -> tuple[Operators, dict[str, tuple[Tensor, Tensor]]]:
    """Operators of their own in float32, and the weight and bias of every layer that has them.

    Scales (folded normalisations of the inputs) stay as they are.
    """
    place = torch.device(device)
    affine: dict[str, AffineOperator] = {}
    windows: dict[str, Tensor] = {}
    weights: dict[str, tuple[Tensor, Tensor]] = {}
    for node in network.nodes:
        shapes = [network.shapes[source] for source in node.inputs]
        built = affine_operator(
            node.layer,
            inputs=shapes,
            output=network.shapes[node.name],
            device=place,
            dtype=torch.float32,
        )
        if built is not None:
            affine[node.name] = built
        elif isinstance(node.layer, MaxPool2d):
            windows[node.name] = torch.tensor(node.layer.windows(shapes[0]), device=place)
        if isinstance(built, AffineLast | Convolution):
            weights[node.name] = (built.weight.requires_grad_(), built.bias.requires_grad_())
    return Operators(
        network,
        device=place,
        dtype=torch.float32,
        affine=affine,
        absolute={},
        deviation={},
        windows=windows,
    ), weights


def _with_weights(network: Network, weights: dict[str, tuple[Tensor, Tensor]]) -> Network:
    nodes = []
    for node in network.nodes:
        layer = node.layer
        if isinstance(layer, Affine | Conv2d):
            weight, bias = (p.detach().cpu().numpy().astype(np.float64) for p in weights[node.name])
            layer = replace(layer, weight=weight, bias=bias, weight_range=None, bias_range=None)
        nodes.append(replace(node, layer=layer))
    return replace(network, nodes=tuple(nodes), origin=f"{network.origin}, retrained")
