"""Make a network answer early where weighted rules over its first layer's decisions are sure."""

from pathlib import Path

import numpy as np

from precond import load
from precond.apply import Promise, Reading, Training, distill, sample_of
from precond.data import load_dataset, split

network = load(Path(__file__).parents[1] / "models" / "mnist-cnn.onnx")
data = load_dataset("mnist-5k")
train, held_out = split(data)
mixed = np.random.RandomState(0).permutation(train)
whole = sample_of(network, data.inputs, data.labels)
fit, calibration, test = (whole.rows(r) for r in (mixed[1500:], mixed[:1500], held_out))

quick = Training(rows=25_000, shift=1)
promise = Promise(max_loss=0.5, delta=0.1)
where = [Reading("relu1", 2)]
found = distill(network, fit, calibration, where, promise=promise, training=quick)
answered = found.path.predict(test.inputs.numpy())
right = answered.labels == test.labels.numpy()
plain = test.predicted == test.labels
for number, exit in enumerate(found.path.names()):
    print(f"{(answered.exits == number).sum():5} of {len(test)} held-out digits by {exit}")
print(f"accuracy {right.mean():.4f}, of the plain network {plain.float().mean():.4f}")
