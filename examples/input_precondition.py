"""Why is this digit a 3?  Relax its signature, prove what is left, and find a box around it."""

from pathlib import Path

import numpy as np

from precond import Box, Property, input_precondition, load, underapproximation_box
from precond.data import load_dataset

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
digit = load_dataset("digits").inputs[3].astype(np.float64)
ball = Box.ball(digit, 0.1, within=Box.uniform(64, 0.0, 1.0))
found = input_precondition(network, digit, Property.argmax(3, 10), ball)
print(f"{found.verdict.status.value} by {found.verdict.engine} after {found.proofs} proofs")
if found.pattern is not None:
    print(f"{len(found.pattern)} of {network.neurons} neurons are needed: {found.pattern}")
    box = underapproximation_box(network, found.pattern, digit, ball)
    print(f"every input in a box of mean width {box.width.mean():.3f} has this pattern")
