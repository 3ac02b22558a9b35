"""Model files of other sorts: refused, with the lines that turn one into an ONNX file."""

from __future__ import annotations

from pathlib import Path

from precond.errors import ModelError

EXPORT = "torch.onnx.export(model.eval(), (torch.zeros(1, *INPUT_SHAPE),), 'model.onnx'"
CLASS = "In Python, where the network's class is at hand: "
WHOLE_MODULE = f"{CLASS}model = torch.load('{{name}}', weights_only=False); {EXPORT})"
TORCHSCRIPT = f"In Python: model = torch.jit.load('{{name}}'); {EXPORT}, dynamo=False)"
CHECKPOINT = (
    f"{CLASS}model = Net(); model.load_state_dict(torch.load('{{name}}')['{{entry}}']); {EXPORT})"
)
STATE = f"{CLASS}model = Net(); model.load_state_dict(torch.load('{{name}}')); {EXPORT})"
LIGHTNING = f"{CLASS}model = Net.load_from_checkpoint('{{name}}'); {EXPORT})"
SAFETENSORS = (
    f"{CLASS}model = Net(); model.load_state_dict(safetensors.torch.load_file('{{name}}')); "
    f"{EXPORT})"
)
KERAS = (
    "In Python, with Keras 3: keras.models.load_model('{name}').export('model.onnx', format='onnx')"
)
PICKLE = (
    "In Python, of scikit-learn's network: onx = skl2onnx.to_onnx(model, X[:1].astype('float32'), "
    "options={'zipmap': False}); open('model.onnx', 'wb').write(onx.SerializeToString()); "
    f"of torch's: {EXPORT})"
)
LITE = "python -m tf2onnx.convert --tflite {name} --output model.onnx"
TENSORFLOW = "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx"
KINDS = {
    ".h5": ("a Keras model", KERAS),
    ".hdf5": ("a Keras model", KERAS),
    ".keras": ("a Keras model", KERAS),
    ".pkl": ("a pickle, which could run code", PICKLE),
    ".pickle": ("a pickle, which could run code", PICKLE),
    ".joblib": ("a pickle, which could run code", PICKLE),
    ".tflite": ("a TensorFlow Lite model", LITE),
    ".pb": ("a TensorFlow model", TENSORFLOW),
    ".ckpt": ("a checkpoint", LIGHTNING),
}


def refuse_foreign(path: Path, expected: str) -> None:
    """ModelError for a file whose suffix says that it is of another sort."""
    if path.suffix.lower() in KINDS:
        got, fix = KINDS[path.suffix.lower()]
        raise ModelError(f"{path}", expected=expected, got=got, fix=export_line(fix, path))


def export_line(line: str, path: Path, entry: str = "") -> str:
    """The line with the file's name in it."""
    return line.replace("{name}", path.name).replace("{entry}", entry)
