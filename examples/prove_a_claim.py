"""State a claim about a network and get a verdict: y = |x| by two ReLUs."""

import numpy as np

from precond import Box, Claim, DecisionPattern, Network, Property, prove
from precond.network import Affine, Node, ReLU

network = Network(
    (
        Node("split", Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), ("input",)),
        Node("relu1", ReLU(), ("split",)),
        Node("join", Affine(np.array([[1.0, 1.0]]), np.zeros(1)), ("relu1",)),
    ),
    (1,),
)
box = Box.uniform(1, -2.0, 3.0)
everywhere, right = DecisionPattern(), DecisionPattern(on=frozenset({("relu1", 0)}))
for pattern, low, high in [(everywhere, 0.0, 3.0), (everywhere, 0.0, 2.5), (right, 0.0, 3.0)]:
    claim = Claim(network, box, pattern, Property.between(0, low, high))
    verdict = prove(claim)
    witness = "" if verdict.witness is None else f", witness x = {verdict.witness[0]:g}"
    print(f"{pattern}: {claim.property} is {verdict.status.value} ({verdict.engine}){witness}")
