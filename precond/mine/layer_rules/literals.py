"""The literals of one layer as bit sets over inputs, so that a rule is matched by ANDs.

A *feature* is "pre-activation of neuron i > t"; a *literal* is a feature (id 2f) or its
opposite (id 2f + 1).  With on/off decisions each neuron has the one feature t = 0; with
values, thresholds at quantiles of the training data as well.  The *code* of a neuron is how
many of its thresholds lie below its pre-activation: a tree that splits codes splits at
features.

Inputs are ordered by label, each label's group padded to whole 64-bit words; the inputs of
one label are thus one range of words, and counting a rule's inputs of every label is one
popcount and one segmented sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.region.pattern import DecisionPattern, Neuron, Threshold
from precond.region.signature import Signatures

Words = NDArray[np.uint64]
Rows = NDArray[np.int64]
Bounds = dict[tuple[int, bool], float]
QUANTILES = 15
SAMPLE = 20_000  # inputs that quantiles are taken from
CHUNK = 1_024  # inputs unpacked at once


@dataclass(frozen=True, eq=False)
class Features:
    """``neuron`` (F,) and ``threshold`` (F,), sorted by neuron, then threshold.

    ``first`` (width + 1,): neuron i has the features first[i] … first[i + 1] − 1.
    """

    layer: str
    neuron: Rows
    threshold: NDArray[np.float64]
    first: Rows
    values: bool

    @classmethod
    def decisions(cls, signatures: Signatures, layer: str) -> Features:
        """One feature a neuron: on."""
        width = signatures.widths[layer]
        return cls(
            layer, np.arange(width), np.zeros(width), first=np.arange(width + 1), values=False
        )

    @classmethod
    def quantiles(cls, signatures: Signatures, layer: str) -> Features:
        """On, and above each of ``QUANTILES`` quantiles, rounded to three digits."""
        z = signatures.values(layer)
        z = np.asarray(z[:: max(1, len(z) // SAMPLE)])
        levels = np.quantile(z, np.arange(1, QUANTILES + 1) / (QUANTILES + 1), axis=0)
        chosen = []
        for low, high, column in zip(z.min(axis=0), z.max(axis=0), levels.T, strict=True):
            rounded = {float(f"{t:.3g}") for t in column}
            chosen.append([0.0, *sorted(t for t in rounded if t != 0 and low <= t < high)])
        sizes = [len(thresholds) for thresholds in chosen]
        return cls(
            layer,
            np.repeat(np.arange(len(sizes)), sizes),
            np.array([t for thresholds in chosen for t in sorted(thresholds)]),
            first=np.concatenate([[0], np.cumsum(sizes)]),
            values=True,
        )

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """Threshold of every rank and neuron, (ranks, width); ∞ where there are fewer."""
        sizes = np.diff(self.first)
        grid = np.full((int(sizes.max()), len(sizes)), np.inf)
        rank = np.arange(len(self.neuron)) - np.repeat(self.first[:-1], sizes)
        grid[rank, self.neuron] = self.threshold
        return grid

    def codes(self, signatures: Signatures, rows: Rows) -> NDArray[np.uint8]:
        """Code of every neuron for the inputs ``rows``, (len(rows), width)."""
        if not self.values:
            return signatures.decisions(self.layer, rows).view(np.uint8)
        result = np.zeros((len(rows), len(self.first) - 1), dtype=np.uint8)
        z = signatures.values(self.layer)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            values = np.asarray(z[rows[part]])
            for thresholds in self.grid:
                result[part] += values > thresholds
        return result

    def bounds(self, literals: frozenset[int]) -> Bounds:
        """Per (neuron, is upper) the tightest bound, negated where upper: larger is tighter."""
        tightest: Bounds = {}
        for literal in literals:
            upper = literal % 2 == 1
            key = (int(self.neuron[literal // 2]), upper)
            value = float(self.threshold[literal // 2]) * (-1 if upper else 1)
            tightest[key] = max(value, tightest.get(key, value))
        return tightest

    def pattern(self, literals: frozenset[int]) -> DecisionPattern:
        """The pattern that the literals stand for."""
        neurons: tuple[list[Neuron], list[Neuron]] = ([], [])
        values: tuple[list[Threshold], list[Threshold]] = ([], [])
        for literal in literals:
            upper = literal % 2
            neuron = (self.layer, int(self.neuron[literal // 2]))
            value = float(self.threshold[literal // 2])
            if value == 0.0:
                neurons[upper].append(neuron)
            else:
                values[upper].append((*neuron, value))
        return DecisionPattern(
            frozenset(neurons[0]),
            frozenset(neurons[1]),
            frozenset(values[0]),
            below=frozenset(values[1]),
        )


@dataclass(frozen=True, eq=False)
class LiteralTable:
    """Features as bit sets over inputs grouped by label.

    ``bits`` (F, words); ``valid`` (words,) has a one for each input and zeros for padding;
    ``starts`` is each group's first word, in the order of ``labels``.
    """

    features: Features
    labels: tuple[int, ...]
    bits: Words
    valid: Words
    starts: Rows

    @classmethod
    def build(
        cls, features: Features, signatures: Signatures, labels: Rows, classes: tuple[int, ...]
    ) -> LiteralTable:
        """The table of all recorded inputs; every label occurs in ``classes``."""
        order = np.argsort(labels, kind="stable")
        ends = np.searchsorted(labels[order], classes, side="right")
        begins = np.searchsorted(labels[order], classes, side="left")
        words = np.maximum(1, -(-(ends - begins) // 64))
        starts = np.concatenate([[0], np.cumsum(words)[:-1]])
        bits = np.zeros((len(features.neuron), int(words.sum()) * 8), dtype=np.uint8)
        valid = np.zeros(int(words.sum()) * 8, dtype=np.uint8)
        sizes = np.diff(features.first)
        for begin, end, start in zip(begins, ends, starts, strict=True):
            for at in range(begin, end, CHUNK):
                rows = order[at : min(at + CHUNK, end)]
                codes = np.ascontiguousarray(features.codes(signatures, rows).T)
                offset = int(start) * 8 + (at - begin) // 8
                part = slice(offset, offset + -(-len(rows) // 8))
                for rank in range(len(features.grid)):
                    with_rank = np.flatnonzero(sizes > rank)
                    held = np.packbits(codes > rank, axis=1)
                    bits[features.first[with_rank] + rank, part] = held[with_rank]
                valid[part] = np.packbits(np.ones(len(rows), dtype=np.bool_))
        return cls(
            features,
            tuple(classes),
            bits.view(np.uint64),
            valid=valid.view(np.uint64),
            starts=starts,
        )

    def of(self, literals: list[int], words: slice = slice(None)) -> Words:
        """Bit sets of the literals over some words, (len(literals), words); padding undefined."""
        ids = np.asarray(literals, dtype=np.int64)
        flips = np.where(ids % 2 == 1, ~np.uint64(0), np.uint64(0))
        return np.asarray(self.bits[ids // 2, words] ^ flips[:, None])

    def matches(self, literals: list[int], words: slice = slice(None)) -> Words:
        """Bit set of the inputs that satisfy all literals, over some words."""
        return np.asarray(
            np.bitwise_and.reduce(self.of(literals, words), axis=0) & self.valid[words]
        )

    def counts(self, sets: Words) -> Rows:
        """Inputs of every label in each bit set: (…, words) → (…, labels)."""
        ones = np.bitwise_count(sets)
        return np.asarray(np.add.reduceat(ones, self.starts, axis=-1, dtype=np.int64))

    def group(self, label: int) -> slice:
        """The words of one label's inputs."""
        k = self.labels.index(label)
        stop = self.bits.shape[1] if k + 1 == len(self.starts) else int(self.starts[k + 1])
        return slice(int(self.starts[k]), stop)
