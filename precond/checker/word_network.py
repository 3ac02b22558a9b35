"""A network in machine words: its affine maps as integers, and the slopes that lines may have."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import coo_array

from precond.checker.certificate import Certificate
from precond.checker.kernels import WindowKernel
from precond.checker.pools import windows_of
from precond.checker.words import WORD, Fixed, Matrix, at, raised, read, require
from precond.network.graph import Network
from precond.network.layers import Conv2d, LeakyReLU, Node, Reshape
from precond.network.sparse import affine_matrices, deviation_matrices

Map = Matrix | WindowKernel


class WordNetwork:
    """A network and a certificate about it, as integers.

    ``affine``: per affine node its maps, None where it only renames, and its bias and minus that,
    (2, 1, m).  ``away``: how far its floats are from its constants at most: maps of the largest
    |values| of what it reads, and minus a constant.  ``offset`` of decision layers: their first
    neuron among all.
    """

    def __init__(self, network: Network, certificate: Certificate) -> None:
        self.network, self.given, self.bits = network, certificate, certificate.bits
        require(8 <= self.bits <= 30)
        self.p = 48 - self.bits  # digits of slopes after the point
        self.one = 2.0**self.p
        self.affine: dict[str, tuple[list[Map | None], Fixed]] = {}
        self.away: dict[str, tuple[list[tuple[str, Map]], Fixed]] = {}
        self.offset: dict[str, int] = {}
        for node in network.nodes:
            if network.is_affine(node.name):
                self._read(node)
            elif node.name in network.decision_layers:
                self.offset[node.name] = sum(network.width(k) for k in self.offset)
        self.rows = len(certificate.statement.bound)
        self.half = lru_cache(1)(self.half_spaces)

    def _read(self, node: Node) -> None:
        name, network, away = node.name, self.network, deviation_matrices(self.network, node.name)
        coarse: list[tuple[str, Map]] = []
        off = np.zeros(network.width(name))
        if away is not None:
            maps = [Matrix(raised(m), self.bits) for m in away[0]]
            coarse, off = list(zip(node.inputs, maps, strict=True)), away[1]
        built: list[Map | None]
        if isinstance(node.layer, Conv2d):
            shape = network.shapes[node.inputs[0]]
            kernel = WindowKernel(node.layer, shape, self.bits)
            built = [kernel]
            bias = np.repeat(node.layer.bias, network.width(name) // len(node.layer.bias))
            if (missing := kernel.missing) is not None:
                rest = WindowKernel(missing, shape, self.bits)
                require(rest.missing is None)  # what is left out of it nobody would count
                coarse.append((node.inputs[0], rest))
        else:
            matrices, bias = affine_matrices(network, name)
            same = isinstance(node.layer, Reshape)
            built = [None if same else Matrix(m, self.bits) for m in matrices]
        self.affine[name] = built, read(np.stack([bias, -bias])[:, None], WORD)
        if coarse:
            self.away[name] = coarse, read(-off[None], WORD)

    def half_spaces(self, first: int, last: int) -> tuple[Matrix, Fixed]:
        """Rows of the statement's ``matrix x − bound ≤ 0``."""
        s = self.given.statement
        bias = read(-s.bound[None, None, first:last], WORD)
        return Matrix(coo_array(s.matrix[first:last]), self.bits), bias

    def slopes(self, name: str) -> tuple[Any, Any]:
        """The negative side's slope in units of 2^-p, rounded down and up."""
        layer = self.network.node[name].layer
        slope = layer.slope if isinstance(layer, LeakyReLU) else 0.0
        down, up = (at(read(np.array([s]), WORD), -self.p)[0] for s in (slope, -slope))
        return down, -up

    def digits(self, name: str) -> int:
        """Of a max-pool's slopes after the point: a sum over windows must fit a word."""
        members = windows_of(self.network, name).shape[1]
        require((digits := min(self.p, 51 - self.bits - members.bit_length())) >= 6)
        return int(digits)
