"""Find inputs next to real ones that are given another class, and retrain on half of them."""

from pathlib import Path

from precond import load
from precond.apply import AdversarialSettings, Retraining, adversarial, retrain
from precond.data import load_dataset

network = load(Path(__file__).parents[1] / "models" / "digits-mlp.onnx")
data = load_dataset("digits")
found = adversarial(network, data, AdversarialSettings(radius=0.1, most=200, budget=5.0, each=0.5))
print(f"{found.refuted} of {found.claims} balls refuted; {len(found.examples)} distinct examples")
first = found.examples[0]
print(
    f"the smallest moves no pixel of input {first.anchor}, a {first.label}, by more than ", end=""
)
print(f"{first.linf:.3f}, and is given class {first.predicted}")
done = retrain(
    network,
    data,
    found,
    Retraining(epochs=3),
    radius=0.1,
)
for name, one in (("before", done.before), ("control", done.control), ("after", done.after)):
    print(f"{name:<8} held out {one.held_out:.3f}, under attack {one.attacked:.3f}, ", end="")
    print(f"examples kept out {one.kept_out:.3f}")
