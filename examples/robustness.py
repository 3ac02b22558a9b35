"""For how many digits does no small change alter the class?  And is a network monotone?"""

from pathlib import Path

import numpy as np

from precond import Box, Network, load
from precond.apply import BallOutcome, Monotone, RobustnessSettings, prove_monotone, robustness
from precond.data import load_dataset
from precond.network import Affine, Node, ReLU

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
data = load_dataset("digits")
rows = data.held_out[:100]
found = robustness(
    network,
    data.inputs,
    RobustnessSettings(radii=(0.02, 0.05, 0.1), natural=(0, 1), budget=15),
    labels=data.labels,
    rows=rows,
)
for k, radius in enumerate(found.radii):
    counts = ", ".join(f"{found.count(k, outcome)} {outcome.value}" for outcome in BallOutcome)
    print(f"radius {radius:<5g} {counts}")

price = Network(  # y = relu(x0 − x1) + relu(x0): rises with x0, falls with x1
    (
        Node("mix", Affine(np.array([[1.0, -1.0], [1.0, 0.0]]), np.zeros(2)), ("input",)),
        Node("relu", ReLU(), ("mix",)),
        Node("sum", Affine(np.array([[1.0, 1.0]]), np.zeros(1)), ("relu",)),
    ),
    (2,),
)
for claim in (Monotone(0), Monotone(1, rising=False), Monotone(1)):
    verdict = prove_monotone(price, claim, Box.uniform(2, 0.0, 2.0))
    print(f"{claim}: {verdict.status.value}")
