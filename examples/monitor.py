"""Watch a network through rules over its decisions: which predictions deserve a second look?"""

from pathlib import Path

from precond import Box, Precondition, Status, Verdict, layer_preconditions, load, record
from precond.apply import Monitor, summarise
from precond.data import load_dataset, split
from precond.proof import Kind, Support

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
data = load_dataset("digits")
assert data.labels is not None
train, held_out = split(data)
seen = record(network, data.inputs[train])
entries = [
    Precondition(
        f"layer-{rule.label}-{number}",
        Kind.LAYER,
        str(rule.label),
        None,
        rule.pattern,
        Support(rule.support, 0, None, None, train_precision=rule.precision),
        Verdict(Status.EMPIRICAL),
    )
    for number, rule in enumerate(layer_preconditions(seen, seen.predicted))
]
monitor = Monitor(network, entries, Box.uniform(64, 0.0, 1.0))
watched = monitor.watch(data.inputs[held_out])
found = summarise(monitor, watched, data.labels[held_out])
print(f"{len(entries)} rules, {found.in_pattern} of {found.inputs} held-out digits in pattern")
for one in found.detections:
    print(f"judged {one.verdict}: {one.predictions}, of which {one.hits} are")
weakest = watched.strength.argsort()[:5].tolist()
print(f"weakest support from the rules: rows {', '.join(str(held_out[k]) for k in weakest)}")
