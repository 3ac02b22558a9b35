"""What does the network treat alike?  Group the digits by the layer rules they share."""

from pathlib import Path

from precond import layer_preconditions, load, record
from precond.apply import RuleBook, cluster
from precond.data import load_dataset, split

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
data = load_dataset("digits")
train, held_out = split(data)
signatures = record(network, data.inputs)
seen = signatures.rows(train)
rules = layer_preconditions(seen, seen.predicted)
found = cluster(
    RuleBook(network=network, rules=rules, inputs=data.inputs, signatures=signatures, train=train),
    data.labels,
    held_out,
)
print(f"{len(found.clusters)} clusters of purity {found.purity:.3f}; {len(found.rest)} left over")
for one in found.clusters[:3]:
    print(f"  {len(one.members)} inputs like number {one.medoid}: label {one.label}, ", end="")
    print(f"purity {one.purity:.3f}")
    for row in data.inputs[one.medoid].reshape(8, 8):
        print("    " + "".join(" .:*#"[round(4 * float(value))] for value in row))
