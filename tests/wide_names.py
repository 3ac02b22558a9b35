"""Every command on a table whose columns, classes and layers have long names, in one process.

    python tests/wide_names.py FOLDER

Libraries are made to warn while models are read.  Each command is run with --json: its exit
status, the lines it prints and standard error are written to FOLDER/shown.json, the rest of the
object to FOLDER/answers.json.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LONG = "measured in the laboratory of the institute for the third time"
FEATURES = tuple(f"{name} {LONG}" for name in ("width", "height", "depth"))
CLASSES = ("the small ones of the first kind", "the large ones of the second kind")
LAYER = "encoder/block_of_the_first_stage/activation_after_normalisation/rectifier_of_the_sum"


def network() -> onnx.ModelProto:
    """y1 − y0 = ReLU(a) + ReLU(b) − ReLU(c) − ¼, for three inputs a, b, c."""
    weights = {"w": np.eye(3), "v": np.array([[0.0, 1.0], [0.0, 1.0], [0.0, -1.0]])}
    stored = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items()]
    stored.append(numpy_helper.from_array(np.array([0.25, 0.0], np.float32), "b"))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name=f"{LAYER}_before"),
        helper.make_node("Relu", ["h"], ["r"], name=LAYER),
        helper.make_node("MatMul", ["r", "v"], ["s"], name="last/projection"),
        helper.make_node("Add", ["s", "b"], ["y"], name="last/bias"),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2]),
    ]
    graph = helper.make_graph(nodes, "wide", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def table() -> str:
    """200 rows; three of them carry the other label."""
    rows = np.random.default_rng(0).uniform(-1, 1, (200, 3)).round(3)
    labels = np.maximum(rows, 0) @ np.array([1, 1, -1]) > 0.25
    labels[:3] = ~labels[:3]
    lines = [
        ",".join([*map(str, row), CLASSES[int(label)]])
        for row, label in zip(rows, labels, strict=True)
    ]
    return "\n".join([",".join([*FEATURES, "kind"]), *lines]) + "\n"


GIVEN = ["m.onnx", "--inputs", "d.csv", "--label-column", "kind", "--classes", ",".join(CLASSES)]
COMMANDS: dict[str, list[str]] = {
    "info": ["info", "m.onnx"],
    "analyze": ["analyze", *GIVEN, "--per-class", "1", "--out", "a"],
    "analyze a label": [
        "analyze",
        *GIVEN,
        "--property",
        "label:1",
        "--domain",
        "-1:1",
        "--out",
        "b",
    ],
    "debug": ["debug", *GIVEN, "--pages", "2", "--out", "d"],
    "robustness": ["robustness", *GIVEN, "--most", "4", "--radius", "0.1", "0.5", "--out", "r"],
    "properties": [
        *("robustness", *GIVEN, "--range", "0:-9:9", "--out", "q"),
        *("--monotone", f"{FEATURES[0]}:down:1", "--monotone", f"{FEATURES[2]}:up"),
    ],
    "cluster": ["cluster", *GIVEN, "--support", "4", "--out", "c"],
    "adversarial": ["adversarial", *GIVEN, "--radius", "0.3", "--retrain", "1", "--out", "v"],
    "patterns": ["patterns", *GIVEN, "--out", "p"],
    "monitor": ["monitor", "a/preconditions.json", *GIVEN, "--outside", "d.csv", "--out", "m"],
    "diagnose": ["diagnose", *GIVEN, "--most", "4", "--against", "m.onnx", "--out", "g"],
    "explain": ["explain", *GIVEN, "--index", "3", "--out", "e.html"],
    "distill": ["distill", *GIVEN, "--no-compile", "--max-loss", "20", "--out", "f"],
    "prove": ["prove", "m.onnx", "a/preconditions.json", "--execution", "float32"],
    "verify": ["verify", "q.vnnlib", "--network", "m.onnx"],
    "decompose": ["decompose", "m.onnx", "q.vnnlib", "--check"],
    "ledger": ["ledger", "a/ledger.sqlite", "list"],
}

QUERY = """
(declare-const X_0 Real) (declare-const X_1 Real) (declare-const X_2 Real)
(declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (>= X_0 0.0)) (assert (<= X_0 1.0)) (assert (>= X_1 0.0)) (assert (<= X_1 0.2))
(assert (>= X_2 0.9)) (assert (<= X_2 1.0)) (assert (>= Y_1 Y_0))
"""


def provoke(*_: object) -> None:
    """What libraries print of themselves, each in its own way."""
    warnings.warn("a library is unhappy", UserWarning, stacklevel=2)
    warnings.simplefilter("always", DeprecationWarning)
    warnings.warn("a library is old", DeprecationWarning, stacklevel=2)
    logging.getLogger("library").warning("a library logs")
    np.float32(3e38) * np.float32(10)


def main(folder: Path) -> None:
    from precond import cli
    from precond.formats import load

    os.chdir(folder)
    onnx.save(network(), "m.onnx")
    Path("d.csv").write_text(table())
    Path("q.vnnlib").write_text(QUERY)
    plain = load.load

    def warned(*given: object, **named: object) -> object:
        provoke()
        return plain(*given, **named)  # type: ignore[arg-type]  # whatever the command gives

    load.load = warned  # type: ignore[assignment]  # as above
    budgets = {"--budget", "analyze", "debug", "robustness", "adversarial", "patterns", "decompose"}
    shown, answers = {}, {}
    for name, words in COMMANDS.items():
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            more = ["--budget", "600"] if words[0] in budgets else []
            status = cli.main([*words, *more, "--json"])
        said = json.loads(out.getvalue())
        shown[name] = (status, "\n".join(said.pop("printed")), err.getvalue())
        answers[name] = said
    with contextlib.redirect_stderr(io.StringIO()) as err:
        provoke()
    shown["outside"] = (0, "", err.getvalue())
    Path("shown.json").write_text(json.dumps(shown))
    Path("answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
