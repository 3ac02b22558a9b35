"""Learn rules over neuron decisions that imply the predicted digit, and count how far they hold."""

from pathlib import Path

from precond import layer_preconditions, load, record
from precond.data import load_dataset, split
from precond.mine import measure

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
data = load_dataset("digits")
train, held_out = split(data)
signatures = record(network, data.inputs)
rules = layer_preconditions(signatures.rows(train), signatures.predicted[train])
print(f"{len(rules)} rules; the best-supported ones:")
for rule in rules[:5]:
    support = measure(rule.pattern, rule.label, signatures.predicted, signatures, train, held_out)
    print(f"  {rule.pattern}  ⇒  {rule.label}")
    print(
        f"    {support.train} training and {support.held_out} held-out inputs, "
        f"precision {support.precision or 0:.3f}, recall {support.recall or 0:.2f}"
    )
