"""``simplify``: a smaller network with the same outputs for every input of a box, and the proofs.

1. Neurons that are always on or always off over the box are found (``fixed.py``).
2. What they make needless is taken out (``smaller.py``); nothing is rounded.
3. Where asked for, layers are merged (``merged.py``), and what rounding may cost is bounded.
4. Each layer's fixed neurons are proved once more with a certificate, where asked for.

After Serra, Kumar and Ramalingam, *Lossless Compression of Deep Neural Networks* (2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from precond.apply.simplification.fixed import FixedNeurons, fixed_neurons, phase_claim
from precond.apply.simplification.merged import merged, rounded
from precond.apply.simplification.moved_outputs import Merged, deviation
from precond.apply.simplification.needed import needed
from precond.apply.simplification.settings import SimplifySettings
from precond.apply.simplification.smaller import connections, multiplications, smaller
from precond.basics.progress import Progress, Silent
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.enclosed import enclosed_values
from precond.network.graph import INPUT, Network
from precond.proof.certificates.folder import keep
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove
from precond.region.box import Box

POINTS = 3  # at which both networks are computed in fractions
BITS = 6  # after the point, of the coordinates of these points


@dataclass(frozen=True)
class NetworkSize:
    """``connections``: weights that are not 0.  ``multiplications``: of one input, weights that
    are 0 included."""

    neurons: int
    connections: int
    multiplications: int

    @classmethod
    def of(cls, network: Network) -> NetworkSize:
        return cls(network.neurons, connections(network), multiplications(network))


@dataclass(frozen=True, eq=False, kw_only=True)
class Simplified:
    """``network`` has the outputs of ``original`` over ``box``: the same real numbers where
    ``deviation`` is 0, else within it of them (``inf``: no bound is known).

    ``fixed``: by layer of ``original``; ``used``: those that the smaller network rests on.
    ``before``, ``after``: the two sizes.
    """

    original: Network
    network: Network
    box: Box
    fixed: Mapping[str, FixedNeurons]
    used: Mapping[str, FixedNeurons]
    deviation: float
    before: NetworkSize
    after: NetworkSize

    @property
    def removed(self) -> bool:
        """Whether anything became less."""
        return self.after != self.before

    def claims(self) -> dict[str, Claim]:
        """By layer, what the simplification rests on: that the neurons in ``used`` are fixed."""
        found = {}
        for layer, neurons in self.used.items():
            if not neurons.count:
                continue
            sides = [(k, False) for k in np.flatnonzero(neurons.off).tolist()]
            sides += [(k, True) for k in np.flatnonzero(neurons.on & ~neurons.off).tolist()]
            found[layer] = phase_claim(self.original.logits, self.box, layer, neurons=sides)
        return found


def simplify(
    network: Network,
    box: Box,
    settings: SimplifySettings | None = None,
    *,
    points: NDArray[np.floating] | None = None,
    progress: Progress | None = None,
) -> Simplified:
    """``points`` (N, n): inputs to look at, which tell neurons that are free."""
    settings = settings or SimplifySettings()
    deadline = Deadline.after(settings.budget)
    inputs = np.zeros((0, box.size)) if points is None else points
    fixed = fixed_neurons(network, box, points=inputs, effort=settings, progress=progress)
    used = needed(network, fixed, {INPUT: (box.lower == 0) & (box.upper == 0)})
    small = smaller(network, box, used)
    _require_equal(network, small, box, seed=settings.seed)
    if settings.merge:
        state = merged(small)
    else:
        state = Merged(small) if _is_kept_by_a_file(small) else rounded(small)
    return Simplified(
        original=network,
        network=state.network,
        box=box,
        fixed=fixed,
        used=used,
        deviation=deviation(state, box, deadline),
        before=NetworkSize.of(network),
        after=NetworkSize.of(state.network),
    )


def certificates(
    found: Simplified, folder: Path, seconds: float, progress: Progress | None = None
) -> dict[str, Path | None]:
    """By layer, where the certificate lies of the claim that its fixed neurons are fixed; None
    where none was made in time."""
    progress = progress or Silent()
    deadline, places = Deadline.after(seconds), {}
    claims = found.claims()
    progress.stage("certificates", len(claims))
    for number, (layer, claim) in enumerate(claims.items()):
        share = max(0.1, deadline.left / (len(claims) - number))
        verdict = prove(claim, budget=share, exact=True)
        made = verdict.certificate if verdict.is_proved else None
        places[layer] = None if made is None else keep(folder, claim, made)
        progress.step()
    return places


def _is_kept_by_a_file(network: Network) -> bool:
    """Whether an ONNX file of the network holds its very constants."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(network, path)
        return load(path, network.input_shape).hash == network.hash


def _require_equal(network: Network, small: Network, box: Box, seed: int) -> None:
    """Both have the very same outputs at some points of the box, in fractions (of constants that
    are roots: in intervals that meet): a fault of the rewriting is not to be passed on."""
    rng = np.random.default_rng(seed)
    for point in rng.uniform(box.lower, box.upper, size=(POINTS, box.size)):
        point = np.round(point * 2**BITS) / 2**BITS
        point = np.clip(point, box.lower, box.upper)
        first, second = (enclosed_values(one, point)[one.output].ends() for one in (network, small))
        for (low, high), (other_low, other_high) in zip(first, second, strict=True):
            if max(low, other_low) > min(high, other_high):
                raise AssertionError("a simplified network differs from its original")
