"""Prove that two inputs are never far apart, in two halves; then a second question for less."""

import numpy as np

from precond import Box, Claim, DecisionPattern, Network, Property
from precond.apply import Lemmas, decompose, replayed
from precond.network import Affine, Node, ReLU

distance = Network(  # y = relu(x0 − x1) + relu(x1 − x0) = |x0 − x1|
    (
        Node("mix", Affine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2)), ("input",)),
        Node("relu", ReLU(), ("mix",)),
        Node("sum", Affine(np.array([[1.0, 1.0]]), np.zeros(1)), ("relu",)),
    ),
    (2,),
)
near = Property.between(0, -1.0, 1.25)
lemmas = Lemmas()
for name, box in (
    ("the square", Box.uniform(2, 0.0, 1.0)),
    ("a strip of it", Box(np.array([0.0, 0.0]), np.array([0.25, 1.0]))),
):
    claim = Claim(distance, box, DecisionPattern(), near)
    answer = decompose(claim, "relu", lemmas=lemmas)
    print(f"{name}: {answer.status.value}, {len(answer.steps)} parts")
    for step in answer.steps:
        low, high = step.box.lower, step.box.upper
        print(f"  [{low[0]:g}, {high[0]:g}] × [{low[1]:g}, {high[1]:g}]  ⇒  {step.pattern}")
    tail, seen = answer.tail, replayed(answer, points=10_000)
    print(f"  patterns proved: {tail.proved} of {tail.claims}, {tail.reused} of them before")
    print(f"  random inputs outside every pattern: {seen.outside} of {seen.points}")
