"""The rule book of a network: layer rules of every class, and how inputs stand to them.

*Strength* of an input for class k: the share of k's rules it satisfies, each counted with its
training support, Σ_{rules of k that hold} support / Σ_{rules of k} support.  It is 1 for an
input that satisfies every rule of the class and 0 for one that satisfies none.

*Counterfactual*: a rule of another class and the literals of it that the input violates: that
many neurons would have to switch for the rule to hold.  A switched neuron is given the mean
activation it has, in that state, among training inputs of the class; running the rest of the
network from there says whether the switch changes the answer too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from precond.mine.layer_rules.learn import LayerRule
from precond.network.evaluate import forward, values_at
from precond.network.graph import INPUT, Network
from precond.network.operators import operators
from precond.region.signature import Signatures

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
USUAL = 256  # inputs of a class that a mean activation is taken over


@dataclass(frozen=True)
class Flip:
    """One neuron that would have to switch: ``on`` is what the rule asks, ``value`` the
    input's pre-activation, ``usual`` the activation it is given instead."""

    layer: str
    index: int
    on: bool
    value: float
    usual: float


@dataclass(frozen=True)
class Counterfactual:
    """Rule number ``rule`` of class ``label`` and the ``flips`` that it needs, of ``literals``
    literals; ``predicted_then``: the network's class with these neurons switched."""

    label: int
    rule: int
    flips: tuple[Flip, ...]
    literals: int
    predicted_then: int

    @property
    def changes_answer(self) -> bool:
        return self.predicted_then == self.label


@dataclass(frozen=True, eq=False, kw_only=True)
class RuleBook:
    """Rules with the network and the inputs they are read against.

    ``inputs`` (N, n) and ``signatures`` cover all rows; ``train`` are the rows the rules were
    mined on.
    """

    network: Network
    rules: tuple[LayerRule, ...]
    inputs: NDArray[np.floating]
    signatures: Signatures
    train: Rows
    _means: dict[tuple[str, int], tuple[Array, Array]] = field(default_factory=dict, repr=False)

    def name(self, number: int) -> str:
        """``4-rule-3``: the third best-supported rule of class 4."""
        label = self.rules[number].label
        return f"{label}-rule-{int((self.labels[: number + 1] == label).sum())}"

    def holds(self, number: int) -> NDArray[np.bool_]:
        """Which of all rows satisfy a rule, (N,)."""
        return self.rules[number].pattern.holds(self.signatures)

    def satisfied(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rules each row satisfies, (len(rows), rules)."""
        part = self.signatures.rows(rows)
        found = np.zeros((len(rows), len(self.rules)), dtype=np.bool_)
        for number, rule in enumerate(self.rules):
            found[:, number] = rule.pattern.holds(part)
        return found

    @cached_property
    def labels(self) -> Rows:
        """The class of every rule."""
        return np.array([rule.label for rule in self.rules], dtype=np.int64)

    @cached_property
    def strengths(self) -> Array:
        """Strength of every row for every class, (N, K); 0 for a class without rules."""
        total = np.zeros((len(self.signatures), self.network.classes.count))
        whole = np.zeros(self.network.classes.count)
        for number, rule in enumerate(self.rules):
            total[self.holds(number), rule.label] += rule.support
            whole[rule.label] += rule.support
        return np.asarray(total / np.where(whole == 0, 1.0, whole))

    def counterfactuals(self, row: int, label: int) -> tuple[Counterfactual, ...]:
        """Every rule of ``label`` with the flips that ``row`` needs for it, fewest first; of
        equally many those that change the network's answer, then the best-supported."""
        found: list[Counterfactual] = []
        numbers = np.flatnonzero(self.labels == label).tolist()
        for layer in dict.fromkeys(self.rules[number].layer for number in numbers):
            chosen = [number for number in numbers if self.rules[number].layer == layer]
            source = self.network.pre_activation(layer)
            z = values_at(self.network, self.inputs[row][None], source)[0]
            usual_on, usual_off = self._usual(layer, label)
            flips = []
            for number in chosen:
                pattern = self.rules[number].pattern
                wrong = [(i, True) for _, i in pattern.on if not z[i] > 0]
                wrong += [(i, False) for _, i in pattern.off if z[i] > 0]
                flips.append(
                    tuple(
                        Flip(
                            layer,
                            index=i,
                            on=on,
                            value=float(z[i]),
                            usual=float((usual_on if on else usual_off)[i]),
                        )
                        for i, on in sorted(wrong)
                    )
                )
            then = self._predicted_with(row, layer, flips)
            found += [
                Counterfactual(
                    label,
                    rule=number,
                    flips=switched,
                    literals=len(self.rules[number].pattern),
                    predicted_then=said,
                )
                for number, switched, said in zip(chosen, flips, then, strict=True)
            ]
        return tuple(sorted(found, key=lambda c: (len(c.flips), not c.changes_answer, c.rule)))

    def _usual(self, layer: str, label: int) -> tuple[Array, Array]:
        """Mean activation (m,) of each neuron among training inputs predicted as ``label``, over
        those where it is on and over those where it is off (0 where there are none)."""
        key = (layer, label)
        if key not in self._means:
            rows = self.train[self.signatures.predicted[self.train] == label][:USUAL]
            values = values_at(self.network, self.inputs[rows], layer)
            on = self.signatures.decisions(layer, rows)
            self._means[key] = (
                np.where(on, values, 0.0).sum(0) / np.maximum(on.sum(0), 1),
                np.where(on, 0.0, values).sum(0) / np.maximum((~on).sum(0), 1),
            )
        return self._means[key]

    def _predicted_with(self, row: int, layer: str, flips: Sequence[tuple[Flip, ...]]) -> list[int]:
        """The network's class for one input under each set of switched neurons."""
        network = self.network
        ops = operators(network, "cpu", torch.float64)
        x = torch.tensor(self.inputs[row], dtype=torch.float64).reshape(1, *network.input_shape)
        with torch.no_grad():
            here = forward(ops, {INPUT: x}, [layer])[layer]
            changed = here.repeat(len(flips), *[1] * (here.dim() - 1))
            flat = changed.view(len(flips), -1)
            for position, switched in enumerate(flips):
                for flip in switched:
                    flat[position, flip.index] = flip.usual
            # What lies beside the layer (a skip connection) still reads the input.
            every = x.expand(len(flips), *x.shape[1:])
            y = forward(ops, {INPUT: every, layer: changed}, [network.output])[network.output]
        return [int(k) for k in network.classes.predicted(y.flatten(1).numpy())]
