"""Part patterns of convolution filters (Zhang, Cao, Shi, Wu, Zhu 2018, "Interpreting CNN knowledge
via an explanatory graph").

One filter is often active on several parts of an object.  Its map is taken for a mixture of
*patterns*, each with a place relative to the patterns of the layer above.  For pattern V of a
filter, place p of a map and the patterns V' of the layer above that it goes with,

    P(p | V) ∝ exp(−‖p − p_V(I)‖² / 2σ²),   p_V(I) = μ_V + mean over V' of (p̂_V'(I) − μ_V')

p̂_V'(I) is where V' was seen in picture I, μ where it is on average: a pattern is expected where its
neighbours have moved to.  Patterns of the top layer have no neighbours, p_V = μ_V.  A product of
normal densities of equal σ around μ_V + (p̂_V' − μ_V') is such a density around their mean.

Expectation–maximisation, with the activation F(p) as the number of things seen at p:

    E:  r_V(p) = P(p | V) / (Σ over patterns of the filter of P(p | W) + background)
    M:  μ_V = Σ F r_V (p − p_V(I) + μ_V) / Σ F r_V;   neighbours of V: the patterns above whose
        movements go along best with where V is seen

    p̂_V(I) = argmax_p F(p) P(p | V),   its *score* S_V(I) = the maximum

The background is the even density over the picture, as a share: what no pattern explains.  The
first rounds use a wider σ (annealing, Ueda, Nakano 1998), since neighbours are not known yet.

*Location instability* of a pattern and a landmark (an eye, a corner): the standard deviation, over
the pictures where it is seen most, of its distance to the landmark over the picture's diagonal.
Places are in units of the picture, (0, 0) to (1, 1), so that maps of all sizes compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
DIAGONAL = float(np.sqrt(2.0))
WIDE, NARROWS = 4.0, 0.8
"""σ of the first round, and from round to round, as factors."""


@dataclass(frozen=True, kw_only=True)
class GraphSettings:
    """``patterns`` of each filter; ``neighbours`` of each; ``sigma``: σ as a share of the picture's
    side; ``background``: 1 is the density of an even spread; ``rounds`` of EM."""

    patterns: int = 3
    neighbours: int = 3
    sigma: float = 0.1
    background: float = 0.1
    rounds: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.patterns, self.neighbours, self.rounds)
        if min(counts) < 1 or self.sigma <= 0 or self.background < 0:
            raise QueryError(
                "explanatory graph",
                expected="1 or more patterns, neighbours and rounds, a positive sigma",
                got=f"{counts} and {self.sigma:g}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerPatterns:
    """All patterns V of one layer: ``filters`` (V,); ``means`` (V, 2); ``places`` (V, N, 2), down
    and across, and ``scores`` (V, N) in each picture; ``neighbours`` (V, M): numbers of patterns of
    the layer above, none for the top."""

    layer: str
    filters: NDArray[np.int64]
    means: Array
    places: Array
    scores: Array
    neighbours: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ExplanatoryGraph:
    """The layers, the top one first."""

    layers: tuple[LayerPatterns, ...]


def explanatory_graph(
    maps: Mapping[str, NDArray[np.floating]],
    *,
    settings: GraphSettings | None = None,
    done: Callable[[], None] = lambda: None,
) -> ExplanatoryGraph:
    """``maps``: name of a layer → its maps (N, C, H, W), the top layer first; negative values count
    as 0.  ``done`` is called after each layer."""
    settings = settings or GraphSettings()
    if not maps:
        raise DataError("feature maps", expected="one layer or more", got="none")
    counts = {len(values) for values in maps.values()}
    if any(values.ndim != 4 for values in maps.values()) or len(counts) > 1 or 0 in counts:
        raise DataError(
            "feature maps",
            expected="(N, C, H, W) of each layer, of the same pictures",
            got=", ".join(str(values.shape) for values in maps.values()),
        )
    layers: list[LayerPatterns] = []
    for name, values in maps.items():
        above = layers[-1] if layers else None
        layers.append(_PartMixture(values, above, settings).fit(name))
        done()
    return ExplanatoryGraph(tuple(layers))


def grid(height: int, width: int) -> Array:
    """Middles of the cells of a map, (H·W, 2): down, across."""
    down, across = np.mgrid[:height, :width]
    places = np.stack([(down + 0.5) / height, (across + 0.5) / width], -1)
    return np.asarray(places.reshape(-1, 2))


class _PartMixture:
    """EM for all filters of one layer."""

    def __init__(
        self,
        values: NDArray[np.floating],
        above: LayerPatterns | None,
        settings: GraphSettings,
    ) -> None:
        count, channels, height, width = values.shape
        flat = np.maximum(values.reshape(count, channels, -1), 0).astype(np.float64)
        self.strength = np.moveaxis(flat, 1, 0)  # (C, N, places)
        self.places = grid(height, width)
        self.settings = settings
        self.moves = np.zeros((0, count, 2))
        if above is not None:
            self.moves = above.places - above.means[:, None]

    def fit(self, name: str) -> LayerPatterns:
        generator = np.random.default_rng(self.settings.seed)
        fitted = [self._filter(strength, generator) for strength in self.strength]
        size = self.settings.patterns
        return LayerPatterns(
            layer=name,
            filters=np.repeat(np.arange(len(fitted)), size),
            means=np.concatenate([one[0] for one in fitted]),
            places=np.concatenate([one[1] for one in fitted]),
            scores=np.concatenate([one[2] for one in fitted]),
            neighbours=np.concatenate([one[3] for one in fitted]),
        )

    def _filter(
        self, strength: Array, generator: np.random.Generator
    ) -> tuple[Array, Array, Array, NDArray[np.int64]]:
        """Means, places, scores and neighbours of the patterns of a filter, of ``strength`` (N,
        places)."""
        means = self._start(strength.sum(0), generator)
        offsets = np.zeros((len(means), len(strength), 2))
        neighbours = np.zeros((len(means), 0), dtype=np.int64)
        for k in range(self.settings.rounds):
            sigma = self.settings.sigma * max(1.0, WIDE * NARROWS**k)
            near = self._near(means, offsets, sigma=sigma)
            even = 2 * np.pi * sigma**2 * self.settings.background
            share = near / (near.sum(0) + even + 1e-300)
            weight = share * strength[None]
            total = weight.sum(2)
            centres = (weight @ self.places) / np.maximum(total, 1e-300)[..., None]
            neighbours, offsets = self._neighbours(centres, total)
            mass = total.sum(1)
            moved = (total[..., None] * (centres - offsets)).sum(1)
            means = np.where(mass[:, None] > 0, moved / np.maximum(mass, 1e-300)[:, None], means)
        near = self._near(means, offsets, sigma=self.settings.sigma)
        score = near * strength[None]
        best = score.argmax(2)
        places = self.places[best]
        return means, places, score.max(2), neighbours

    def _start(self, total: Array, generator: np.random.Generator) -> Array:
        """Places far from one another where the filter is active (k-means++)."""
        chosen: list[int] = []
        for _ in range(self.settings.patterns):
            weight = total.copy()
            if chosen:
                gaps = self.places[:, None] - self.places[chosen][None]
                weight = weight * (gaps**2).sum(2).min(1)
            whole = weight.sum()
            even = np.full(len(weight), 1 / len(weight))
            chosen.append(int(generator.choice(len(weight), p=weight / whole if whole else even)))
        return self.places[chosen]

    def _near(self, means: Array, offsets: Array, sigma: float) -> Array:
        """P(p | V) up to a factor, (V, N, places)."""
        expected = means[:, None] + offsets
        gaps = ((expected[:, :, None] - self.places[None, None]) ** 2).sum(3)
        return np.asarray(np.exp(-gaps / (2 * sigma**2)))

    def _neighbours(self, centres: Array, total: Array) -> tuple[NDArray[np.int64], Array]:
        """The patterns above that move along with each pattern, and what they say about where it is
        in each picture (V, N, 2)."""
        count = min(self.settings.neighbours, len(self.moves))
        if not count:
            return np.zeros((len(centres), 0), dtype=np.int64), np.zeros_like(centres)
        weight = total / np.maximum(total.sum(1, keepdims=True), 1e-300)
        best = []
        for centre, share in zip(centres, weight, strict=True):
            apart = centre[None] - self.moves
            mean = (share[None, :, None] * apart).sum(1, keepdims=True)
            spread = (share[None] * ((apart - mean) ** 2).sum(2)).sum(1)
            best.append(np.argsort(spread, kind="stable")[:count])
        neighbours = np.stack(best)
        return neighbours, self.moves[neighbours].mean(1)
