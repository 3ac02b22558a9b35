"""Layer preconditions: rules over one layer's decisions that imply a label, learned from data.

    z_i > t_i for i in A and z_j ≤ t_j for j in B  ⇒  the input carries the label

with t = 0 (neuron on, neuron off) or, as an option, quantiles of the pre-activations too.
Paths of several randomised decision trees are candidates; each is shortened, a short list
that covers as much is chosen per label, and implied rules are merged.

Source: Gopinath, Converse, Pasareanu, Taly 2019, section 4.2 (layer properties from a
decision tree); several trees and the greedy cover are additions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.basics.arguments import require_kind
from precond.basics.notebook import NotebookLine
from precond.errors import DataError, QueryError
from precond.mine.labels import NO_LABEL, check_labels
from precond.mine.layer_rules.literals import Features, LiteralTable
from precond.mine.layer_rules.probes import Probes
from precond.mine.layer_rules.shortlist import Bar, Candidate, cover, merge, refine
from precond.mine.layer_rules.trees import grow, paths
from precond.mine.support import wilson
from precond.proof.deadline import FOREVER, Deadline
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Labels = NDArray[np.int64]
TREES = 12
TREE_ROWS = 20_000  # inputs a tree is grown on; rules are judged on all
CHUNK = 65_536


@dataclass(frozen=True, kw_only=True)
class LayerRule(NotebookLine):
    """``pattern`` over ``layer`` implies ``label`` on the training inputs.

    Of the ``support`` training inputs that satisfy it the share ``precision`` carries the
    label; ``confidence`` is the lower end of that share's 95 % Wilson interval.
    """

    label: int
    layer: str
    pattern: DecisionPattern
    support: int
    precision: float
    confidence: float

    def __repr__(self) -> str:
        words = repr(self.pattern).removeprefix("DecisionPattern(").removesuffix(")")
        return (
            f"LayerRule({words} ⇒ class {self.label}, support {self.support}, "
            f"precision {100 * self.precision:.1f} %)"
        )


def layer_preconditions(  # noqa: PLR0913 - options of a public function, each by its keyword
    signatures: Signatures,
    labels: ArrayLike,
    layers: Sequence[str] | None = None,
    *,
    minimum_precision: float = 1.0,
    minimum_support: int = 10,
    values: bool = False,
    classes: Sequence[int] | None = None,
    probes: Probes | None = None,
    trees: int = TREES,
    seed: int = 0,
    deadline: Deadline = FOREVER,
) -> tuple[LayerRule, ...]:
    """Rules that imply a label, learned layer by layer, largest support first.

    ``signatures`` and ``labels`` (N,) are of the training inputs only; ``labels_of`` makes
    labels, and inputs labelled ``NO_LABEL`` count against every rule.  ``layers``: all
    recorded ones unless given.  ``values`` allows value thresholds (pre-activations must
    have been recorded).  ``classes``: the labels to find rules for, all unless given.
    ``probes`` are further inputs that rules must not fail on.  The same seed gives the same
    rules, unless ``deadline`` ends the search between two trees or two rules; what was found by
    then is returned.  Layers that ``constant_layers`` names are passed over.

    Errors: DataError for labels that do not fit, a class without inputs, a single label,
    or decisions that are constant in every layer; QueryError for limits out of range.
    """
    require_kind("signatures", signatures, Signatures, fix="record(network, inputs) gives them")
    _check_limits(minimum_precision, minimum_support, trees)
    training = _Inputs(signatures, check_labels(labels, len(signatures)), probes)
    names = tuple(signatures.layers if layers is None else layers)
    wanted = training.classes(classes)
    constant = constant_layers(signatures, names, values=values)
    if len(constant) == len(names):
        raise DataError(
            f"decisions of {', '.join(names) or 'no layer'}",
            expected="a neuron that differs between two training inputs",
            got="the same decisions for all inputs",
            fix="Choose another layer, other data, or value thresholds",
        )
    rules: list[LayerRule] = []
    for number, layer in enumerate(names):
        if layer in constant:
            continue
        features = (Features.quantiles if values else Features.decisions)(signatures, layer)
        bar = training.bar(features, minimum_precision, minimum_support)
        stream = np.random.default_rng([seed, number])
        candidates = training.candidates(bar, trees, stream, deadline=deadline)
        own = [c for c in candidates if c.label in wanted]
        short = merge(cover(refine(own, bar, deadline), bar.table), bar.table)
        rules.extend(_rule(features, rule) for rule in short)
    return tuple(
        sorted(rules, key=lambda r: (-r.support, r.label, names.index(r.layer), str(r.pattern)))
    )


def constant_layers(
    signatures: Signatures, layers: Sequence[str] | None = None, *, values: bool = False
) -> tuple[str, ...]:
    """Layers in which every neuron decides the same (or, with ``values``, has the same
    pre-activation) for all recorded inputs: no rule can be learned there."""
    constant = []
    for layer in signatures.layers if layers is None else layers:
        data = signatures.values(layer) if values else _packed(signatures, layer)
        parts = (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))
        if all((part == data[0]).all() for part in parts):
            constant.append(layer)
    return tuple(constant)


def _packed(signatures: Signatures, layer: str) -> NDArray[np.uint8]:
    if layer not in signatures.bits:
        raise DataError(
            f"signatures of layer {layer!r}",
            expected=f"one of {', '.join(signatures.layers)}",
            got="not recorded",
            fix="Record again with that layer",
        )
    return signatures.bits[layer]


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The training inputs with their labels, and the probes beside them."""

    signatures: Signatures
    labels: Labels
    probes: Probes | None

    def classes(self, chosen: Sequence[int] | None) -> tuple[int, ...]:
        """The labels to find rules for: those ``chosen``, or all."""
        present = _present(self.labels)
        if len(present) < 2:
            raise DataError(
                "labels",
                expected="two labels or more, to tell apart",
                got=f"{present[0]} for all inputs" if present else "no inputs",
                fix="Give more inputs or other labels",
            )
        carried = tuple(label for label in present if label != NO_LABEL)
        for label in chosen or ():
            if label not in carried:
                raise DataError(
                    f"class {label}",
                    expected="at least one training input that carries it",
                    got="none",
                    fix=f"Labels that occur: {', '.join(str(k) for k in carried)}",
                )
        return carried if chosen is None else tuple(chosen)

    def bar(self, features: Features, precision: float, support: int) -> Bar:
        probes = self.probes
        if probes is None:
            present = _present(self.labels)
            table = LiteralTable.build(features, self.signatures, self.labels, classes=present)
            return Bar(table, precision, support)
        seen = check_labels(probes.labels, len(probes.signatures))
        both = _present(np.concatenate([self.labels, seen]))
        return Bar(
            table=LiteralTable.build(features, self.signatures, self.labels, classes=both),
            minimum_precision=precision,
            minimum_support=support,
            probes=LiteralTable.build(features, probes.signatures, seen, classes=both),
            probe_precision=probes.minimum_precision,
        )

    def candidates(
        self, bar: Bar, trees: int, stream: np.random.Generator, deadline: Deadline
    ) -> list[Candidate]:
        """Accepted paths of all trees; each tree is grown on its own sample of inputs."""
        features = bar.table.features
        sources = [(self.signatures, self.labels)]
        if self.probes is not None:
            sources.append((self.probes.signatures, self.probes.labels))
        total = sum(len(own) for _, own in sources)
        share = min(1.0, TREE_ROWS / total)
        leaf = max(1, int(bar.minimum_support * share / 2))
        accepted: list[Candidate] = []
        codes, own = None, None
        for number in range(trees):
            if deadline.passed:
                break
            if codes is None or own is None or share < 1:
                rows = [_sample(len(part), share, stream) for _, part in sources]
                parts = [features.codes(s, r) for (s, _), r in zip(sources, rows, strict=True)]
                codes = np.concatenate(parts).astype(np.float32)
                own = np.concatenate([y[r] for (_, y), r in zip(sources, rows, strict=True)])
            state = int(stream.integers(2**31))
            tree = grow(codes, own, leaf=leaf, seed=state, plain=number == 0)
            accepted.extend(paths(tree, bar.table, bar.judge, minimum_support=bar.minimum_support))
        return accepted


def _sample(count: int, share: float, stream: np.random.Generator) -> Labels:
    if share >= 1:
        return np.arange(count)
    return np.sort(stream.choice(count, size=max(1, int(share * count)), replace=False))


def _present(labels: Labels) -> tuple[int, ...]:
    return tuple(int(label) for label in np.unique(labels))


def _rule(features: Features, rule: Candidate) -> LayerRule:
    return LayerRule(
        label=rule.label,
        layer=features.layer,
        pattern=features.pattern(rule.literals),
        support=rule.support,
        precision=rule.hits / rule.support,
        confidence=wilson(rule.hits, rule.support)[0],
    )


def _check_limits(precision: float, support: int, trees: int) -> None:
    if not 0 < precision <= 1:
        raise QueryError("minimum precision", expected="more than 0, at most 1", got=f"{precision}")
    if support < 1:
        raise QueryError("minimum support", expected="1 or more inputs", got=str(support))
    if trees < 1:
        raise QueryError("trees", expected="1 or more", got=str(trees))
