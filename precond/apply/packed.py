"""Many rules at once, exactly: decisions as columns, rules as ANDs over packed words.

A *decision* is one comparison ``z > t`` of a pre-activation (``t = 0`` for on/off).  A rule
is a conjunction of decisions and negated decisions (``z ≤ t``), so R rules over C distinct
decisions are evaluated in one of two exact ways:

- many inputs on a CPU: column c is a bit set over the inputs, 64 to a word, and a rule is
  the AND of its columns and complements, one word operation for 64 inputs and one literal;
- few inputs, or a GPU: the number of violated literals is one matrix product,
  ``v = bits · M + c`` with M = −1 for a literal, +1 for a negated one and c the count of
  plain literals; all are small integers, which float32 holds exactly; a rule holds where v = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from precond.errors import DataError, QueryError
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

CHUNK = 16_384  # inputs packed at once: a column is then 2 KiB and stays in the cache
FEW = 512  # below, the matrix product is faster than packing
PACK = 0x0102040810204080  # gathers eight 0/1 bytes of a word into its top byte


@dataclass(frozen=True, order=True)
class Decision:
    """``z > threshold`` of neuron ``index`` of ``layer``."""

    layer: str
    index: int
    threshold: float


Literal = tuple[Decision, bool]  # and whether it must hold (else its negation)


def literals(pattern: DecisionPattern) -> Iterable[Literal]:
    """The literals of a pattern as decisions and the side they must fall on."""
    yield from ((Decision(layer, index, 0.0), True) for layer, index in pattern.on)
    yield from ((Decision(layer, index, 0.0), False) for layer, index in pattern.off)
    yield from ((Decision(*literal), True) for literal in pattern.above)
    yield from ((Decision(*literal), False) for literal in pattern.below)


class PackedRules(nn.Module):
    """Which of R patterns hold, for N inputs; a torch module without parameters.

    ``layers`` are those with literals, ``decisions`` the C distinct comparisons, in column
    order (layer by layer).
    """

    def __init__(self, patterns: Sequence[DecisionPattern]) -> None:
        super().__init__()
        if not patterns:
            raise QueryError(
                "rules",
                expected="one or more",
                got="an empty rule set",
                fix="Run 'precond analyze' with a longer --budget or more data",
            )
        rules = [sorted(set(literals(pattern))) for pattern in patterns]
        self.decisions = tuple(sorted({decision for rule in rules for decision, _ in rule}))
        self.layers = tuple(dict.fromkeys(decision.layer for decision in self.decisions))
        if not self.decisions:
            raise QueryError("rules", expected="a literal in some rule", got="none")
        column = {decision: k for k, decision in enumerate(self.decisions)}
        self.sizes = [sum(d.layer == layer for d in self.decisions) for layer in self.layers]
        for k, layer in enumerate(self.layers):
            own = [d for d in self.decisions if d.layer == layer]
            thresholds = torch.tensor([d.threshold for d in own], dtype=torch.float64)
            self.register_buffer(f"index_{k}", torch.tensor([d.index for d in own]))
            self.register_buffer(f"threshold_{k}", thresholds)
        self.exact_zero = [not bool(self._buffer("threshold", k).any()) for k in self._numbers()]
        weight = torch.zeros(len(self.decisions), len(rules))
        plain = torch.zeros(len(rules))
        for r, rule in enumerate(rules):
            for decision, wanted in rule:
                weight[column[decision], r] += -1.0 if wanted else 1.0
                plain[r] += float(wanted)
        self.register_buffer("weight", weight)
        self.register_buffer("plain", plain)
        # Word layout: row 2c is column c, 2c + 1 its complement, the last row is all ones.
        order = sorted(range(len(rules)), key=lambda r: -len(rules[r]))
        place = np.empty(len(rules), dtype=np.int64)
        place[order] = np.arange(len(rules))
        self.register_buffer("place", torch.as_tensor(place))
        ids = [[2 * column[d] + (not wanted) for d, wanted in rules[r]] for r in order]
        self.first = [row[0] if row else 2 * len(self.decisions) for row in ids]
        self.register_buffer("rows", torch.tensor(self.first))
        self.steps = 0
        while any(len(row) > self.steps + 1 for row in ids):
            self.steps += 1
            used = [row[self.steps] for row in ids if len(row) > self.steps]
            self.register_buffer(f"rows_{self.steps}", torch.tensor(used))

    def __len__(self) -> int:
        """Number of rules."""
        return int(cast(Tensor, self.plain).shape[0])

    def _numbers(self) -> range:
        return range(len(self.layers))

    def _buffer(self, name: str, k: int) -> Tensor:
        return cast(Tensor, getattr(self, f"{name}_{k}"))

    def bits(self, values: Mapping[str, Tensor]) -> Tensor:
        """Decisions (N, C) bool from pre-activations ``values[layer]`` (N, …)."""
        parts = []
        for k, layer in enumerate(self.layers):
            z = values[layer].flatten(1).index_select(1, self._buffer("index", k))
            # Thresholds are float64: a float32 value is compared as the number it is.
            plain = self.exact_zero[k]
            parts.append(z > 0 if plain else z.double() > self._buffer("threshold", k))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def recorded_bits(self, signatures: Signatures, rows: slice = slice(None)) -> Tensor:
        """Decisions (N, C) of recorded inputs: from packed on/off bits, and from recorded
        pre-activations where a threshold is not 0."""
        parts: list[NDArray[np.bool_]] = []
        for k, layer in enumerate(self.layers):
            index = self._buffer("index", k).cpu().numpy()
            if self.exact_zero[k]:
                if layer not in signatures.bits:
                    raise DataError(
                        f"signatures of layer {layer!r}",
                        expected="the layers of the rules",
                        got=", ".join(signatures.layers),
                        fix="Record again with that layer",
                    )
                used = signatures.bits[layer][rows][:, index >> 3]
                mask = (128 >> (index & 7)).astype(np.uint8)
                parts.append((used & mask) != 0)
            else:
                z = signatures.values(layer)[rows][:, index]
                parts.append(z > self._buffer("threshold", k).cpu().numpy())
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def violations(self, bits: Tensor) -> Tensor:
        """How many literals of each rule each input violates, (N, R) float32 whole numbers."""
        weight, plain = cast(Tensor, self.weight), cast(Tensor, self.plain)
        return torch.addmm(plain, bits.float(), weight)

    def holds(self, bits: Tensor) -> Tensor:
        """Which rules hold, (N, R) bool, for decisions (N, C) bool."""
        if len(bits) < FEW or bits.device.type != "cpu":
            return self.violations(bits) < 0.5
        parts = [unpack(self.words(part), len(part)) for part in torch.split(bits, CHUNK)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def words(self, bits: Tensor) -> Tensor:
        """Bit sets of the inputs in each rule, (R, ⌈N/64⌉) int64; the last word is filled up
        with inputs that do not exist."""
        columns = pack(bits)
        table = columns.new_empty(2 * len(columns) + 1, columns.shape[1])
        table[0:-1:2] = columns
        torch.bitwise_not(columns, out=table[1:-1:2])
        table[-1] = -1
        found = table.index_select(0, cast(Tensor, self.rows))
        for k in range(1, self.steps + 1):
            rows = self._buffer("rows", k)
            found[: len(rows)] &= table.index_select(0, rows)
        return found.index_select(0, cast(Tensor, self.place))

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Which rules hold, (N, R) bool, for pre-activations ``values[layer]`` (N, …)."""
        return self.holds(self.bits(values))


def pack(bits: Tensor) -> Tensor:
    """(N, C) bool → (C, ⌈N/64⌉) int64: bit k of word w is input 64 w + k."""
    count, columns = bits.shape
    padded = torch.zeros(columns, -(-count // 64) * 64, dtype=torch.bool, device=bits.device)
    padded[:, :count] = bits.T
    eights = padded.view(torch.int64)
    return (((eights * PACK) >> 56) & 255).to(torch.uint8).view(torch.int64)


def unpack(words: Tensor, count: int) -> Tensor:
    """(C, W) int64 → (``count``, C) bool, the inverse of ``pack``."""
    shifts = torch.arange(8, dtype=torch.uint8, device=words.device)
    octets = words.contiguous().view(torch.uint8).unsqueeze(-1)
    flat = ((octets >> shifts) & 1).flatten(1)[:, :count]
    return flat.bool().T
