"""Which labels look wrong, and what do the errors share?  Some fours were relabelled as nines."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from precond import load
from precond.apply import DebugSettings, debug
from precond.data import load_dataset, split

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
data = load_dataset("digits")
train, held_out = split(data)
labels = data.labels.copy()
flipped = np.random.RandomState(0).choice(train[labels[train] == 4], 43, replace=False)
labels[flipped] = 9  # 3 % of the training labels
changed = replace(data, labels=labels, parts=(train, held_out))
found = debug(network, changed, DebugSettings(budget=20.0, findings=5))
print(f"{len(found.wrong)} wrong predictions, and their causes:")
for cause in found.causes[:3]:
    half = cause.checked
    print(f"  {len(cause.rows):3} {cause.title}")
    print(f"      on the other half: {half.errors} of {half.of_errors} errors")
    for action in cause.actions:
        if action.effect is not None:
            effect = action.effect
            print(f"      {action.act.value}: {effect.errors} errors, {effect.right} right ones")
rows = [suspect.row for suspect in found.suspects]
hits = len(set(rows) & set(flipped.tolist()))
print(f"{len(rows)} labels in doubt, {hits} of the {len(flipped)} flipped ones among them")
way = found.findings[0].switching
if way is not None:
    print(f"input {found.findings[0].row} is a {way.label} with {len(way.flips)} neurons switched")
