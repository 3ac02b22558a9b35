"""Ways to fail as linear forms: mixes of their inequalities, which a proof shows to be positive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import Linear
from precond.network.dyadic import Dyadic, exact
from precond.network.graph import INPUT, Network

Mixed = dict[str, Dyadic]  # forms (G, R, m) of the output's and the input's values


def mixed(
    network: Network, ways: list[tuple[Linear, ...]], weights: NDArray[np.float64]
) -> tuple[Dyadic, Mixed]:
    """``Σ w bound`` (G, R) and the forms of ``−Σ w (outputs · y + inputs · x)``, exactly."""
    parts = [(r, part) for r, way in enumerate(ways) for part in way]
    terms = [(*part.outputs, *part.inputs) for _, part in parts]
    numbers = [
        [part.bound, *(-v for _, v in own)] for (_, part), own in zip(parts, terms, strict=True)
    ]
    given = exact(np.array([v for row in numbers for v in row], dtype=np.float64))
    mix, at, shape = exact(weights), 0, (len(weights), len(ways))
    total = np.zeros(shape, dtype=object)
    sizes = {network.output: network.output_size, INPUT: network.input_size}
    # The output's form is there even if it is zero: it carries a record's multipliers down.
    forms = {network.output: np.zeros((*shape, network.output_size), dtype=object)}
    for j, (r, part) in enumerate(parts):
        total[:, r] += mix.n[:, j] * given.n[at]
        at += 1
        for name, own in ((network.output, part.outputs), (INPUT, part.inputs)):
            if own and name not in forms:
                forms[name] = np.zeros((*shape, sizes[name]), dtype=object)
            for k, _ in own:
                forms[name][:, r, k] += mix.n[:, j] * given.n[at]
                at += 1
    e = mix.e + given.e
    return Dyadic(total, e), {name: Dyadic(n, e) for name, n in forms.items()}
