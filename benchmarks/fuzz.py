"""Do readers survive what nobody thought of?  Each file must be read, or refused in one line.

    bytes       atheris (libFuzzer): coverage-guided changes of good files, one process a reader
    structure   hypothesis: well-formed text, JSON and graphs with any names, numbers, nesting

Anything but a ``PrecondError`` of one line, more than five seconds, or more than 2 GiB is a
finding; its file is kept in ``--folder``.  Exit status 1 if there is one.

    python benchmarks/fuzz.py --seconds 600 --folder findings
    python benchmarks/fuzz.py --seconds 60 --readers onnx vnnlib
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

SUFFIX = {
    "onnx": ".onnx",
    "nnet": ".nnet",
    "torch": ".pt",
    "vnnlib": ".vnnlib",
    "json": ".json",
    "npy": ".npy",
    "npz": ".npz",
    "csv": ".csv",
    "idx": ".idx",
}
STRUCTURED = ("onnx", "nnet", "vnnlib", "json", "npy", "csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="in all")
    parser.add_argument("--readers", nargs="+", choices=tuple(SUFFIX), default=list(SUFFIX))
    parser.add_argument("--folder", type=Path, help="where findings are kept")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--one", nargs=2, metavar=("HOW", "READER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        how, reader = chosen.one
        work = {"bytes": fuzz_bytes, "structure": fuzz_structure}[how]
        work(reader, chosen.seconds, chosen.folder)
        return
    jobs = [("bytes", reader) for reader in chosen.readers]
    jobs += [("structure", reader) for reader in chosen.readers if reader in STRUCTURED]
    rows = []
    print(f"{'how':<10} {'reader':<8} {'seconds':>8} {'files':>9}  findings")
    with tempfile.TemporaryDirectory() as name:
        for how, reader in jobs:
            kept = (chosen.folder or Path(name)).absolute() / f"{how}-{reader}"
            kept.mkdir(parents=True, exist_ok=True)
            rows.append(in_child(how, reader, chosen.seconds / len(jobs), kept))
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(rows, indent=1))
    sys.exit(1 if any(row["finding"] for row in rows) else 0)


def in_child(how: str, reader: str, seconds: float, folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    shown = subprocess.run(
        [
            *(sys.executable, __file__, "--one", how, reader),
            *("--seconds", str(seconds), "--folder", str(folder)),
        ],
        capture_output=True,
        text=True,
        errors="replace",
    )
    text = shown.stdout + shown.stderr
    counts = re.findall(
        r"Done (\d+) runs|stat::number_of_executed_units: (\d+)|^(\d+) files", text, re.M
    )
    files = max((int(next(filter(None, found))) for found in counts), default=0)
    lines = [line for line in text.splitlines() if re.search(r"Error|Exception|ERROR", line)]
    finding = (
        "" if shown.returncode == 0 else (lines[-1] if lines else f"status {shown.returncode}")
    )
    row = {
        "how": how,
        "reader": reader,
        "seconds": round(time.monotonic() - began, 1),
        "files": files,
        "finding": finding[:200],
    }
    print(
        f"{how:<10} {reader:<8} {row['seconds']:>8} {files:>9}  {finding[:200] or 'none'}",
        flush=True,
    )
    return row


def reader_of(name: str) -> Callable[[Path], object]:
    """Reads a file of the kind."""
    from precond.data.datasets import load_dataset
    from precond.formats.load import load
    from precond.study.store import read_preconditions
    from precond.vnnlib.read import read_vnnlib

    if name in ("onnx", "nnet"):
        return load
    if name == "torch":
        return lambda path: load(path, activation=None if path.suffix == ".pt2" else "relu")
    if name == "json":
        return read_preconditions
    if name == "vnnlib":
        network = plain_network()
        return lambda path: read_vnnlib(path, network)
    return lambda path: load_dataset(str(path))


def plain_network() -> Any:
    import numpy as np

    from precond.network.graph import INPUT, Network
    from precond.network.layers import Affine, Node, ReLU

    nodes = (Node("z", Affine(np.eye(2), np.zeros(2)), (INPUT,)), Node("a", ReLU(), ("z",)))
    return Network(nodes, (2,))


def seeds(name: str) -> list[bytes]:
    """Good and broken small files to start from."""
    import broken_files

    if name == "json":
        from broken_files import preconditions_text

        return [preconditions_text().encode()]
    families = {
        "onnx": broken_files.onnx_broken,
        "nnet": broken_files.nnet_broken,
        "torch": broken_files.torch_broken,
        "vnnlib": broken_files.vnnlib_broken,
    }
    made = families.get(name, broken_files.data_broken)()
    suffix = SUFFIX[name]
    own = [b.content for b in made if b.name.endswith(suffix) and len(b.content) < 20_000]
    good = {
        "onnx": list(broken_files.onnx_good().values()),
        "nnet": [broken_files.NNET.encode()],
        "vnnlib": [broken_files.VNNLIB.encode()],
    }
    return [*good.get(name, []), *own[:120]]


def judge(read: Callable[[Path], object], path: Path) -> None:
    """Raise whatever is wrong with how a file is taken."""
    from precond.errors import PrecondError

    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except PrecondError as error:
        if "\n" in str(error) or "allocate" in str(error):
            raise RuntimeError(f"not one line, or a large allocation: {error!r}") from error
    if time.process_time() - began > 5.0:
        raise RuntimeError("more than five seconds")


def fuzz_bytes(name: str, seconds: float, folder: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["precond"]):
        read = reader_of(name)
    scratch = Path(tempfile.mkdtemp())
    corpus = scratch / "corpus"
    corpus.mkdir()
    for k, content in enumerate(seeds(name)):
        (corpus / f"{k}").write_bytes(content)
    path = scratch / f"file{SUFFIX[name]}"

    def one(data: bytes) -> None:
        path.write_bytes(data)
        judge(read, path)

    atheris.Setup(
        [
            sys.argv[0],
            *(f"-max_total_time={max(1, int(seconds))}", "-max_len=20000", "-rss_limit_mb=4096"),
            *("-timeout=20", "-print_final_stats=1", f"-artifact_prefix={folder}/", str(corpus)),
        ],
        one,
    )
    atheris.Fuzz()


def fuzz_structure(name: str, seconds: float, folder: Path) -> None:
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings

    read = reader_of(name)
    path = folder / f"file{SUFFIX[name]}"
    end = time.monotonic() + seconds
    count = 0

    @settings(
        max_examples=10**9,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy(name))
    def one(content: bytes) -> None:
        nonlocal count
        if time.monotonic() > end:
            raise KeyboardInterrupt
        count += 1
        path.write_bytes(content)
        judge(read, path)

    try:
        one()
    except KeyboardInterrupt:
        path.unlink(missing_ok=True)
    print(f"{count} files", hypothesis.__version__)


def strategy(name: str) -> Any:
    """Files with the right structure and any content."""
    from hypothesis import strategies as st

    numbers = st.one_of(
        st.integers(-3, 20),
        st.integers(),
        st.floats(),
        st.sampled_from([1e308, -0.0, 2**63, 2**31]),
    )
    words = st.one_of(st.text(max_size=8), st.sampled_from(["X_0", "Y_1", "x", "a", "relu", ""]))
    if name == "json":
        from broken_files import preconditions_text

        good = json.loads(preconditions_text())
        keys = sorted({key for entry in (good, *good["preconditions"]) for key in entry})
        value = st.recursive(
            st.one_of(st.none(), st.booleans(), numbers, words),
            lambda inner: st.one_of(
                st.lists(inner, max_size=4),
                st.dictionaries(st.one_of(st.sampled_from(keys), words), inner, max_size=5),
            ),
            max_leaves=30,
        )
        top = st.dictionaries(st.sampled_from(sorted(good)), value).map(lambda c: {**good, **c})
        entry = st.dictionaries(st.sampled_from(sorted(good["preconditions"][0])), value)
        inner = entry.map(lambda c: {**good, "preconditions": [{**good["preconditions"][0], **c}]})
        return st.one_of(top, inner, value).map(lambda v: json.dumps(v).encode())
    if name == "vnnlib":
        atom = st.one_of(words, numbers.map(str), st.sampled_from(["X_0", "X_1", "Y_0", "Y_1"]))
        heads = st.sampled_from(["and", "or", "<=", ">=", "=", "<", "+", "-", "*", "/", "not"])
        term = st.recursive(
            atom,
            lambda inner: st.tuples(heads, st.lists(inner, max_size=4)).map(
                lambda pair: f"({pair[0]} {' '.join(pair[1])})"
            ),
            max_leaves=25,
        )
        head = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1"))
        box = "(assert (and (<= X_0 1) (>= X_0 -1) (<= X_1 1) (>= X_1 -1)))\n"
        line = term.map(lambda t: f"(assert {t})\n")
        text = st.lists(line, max_size=5).map(lambda lines: head + box + "".join(lines))
        return text.map(lambda t: t.encode(errors="replace"))
    if name == "nnet":
        row = st.lists(numbers, max_size=5).map(lambda row: ",".join(map(str, row)) + ",\n")
        return st.lists(row, max_size=20).map(lambda rows: "".join(rows).encode())
    if name == "csv":
        cell = st.one_of(numbers.map(str), words)
        row = st.lists(cell, max_size=5).map(lambda row: ",".join(row) + "\n")
        return st.lists(row, max_size=8).map(lambda rows: "".join(rows).encode(errors="replace"))
    if name == "npy":
        from broken_files import npy_header

        kinds = st.sampled_from(
            ["'<f8'", "'<i4'", "'|b1'", "'|O'", "'<U3'", "[('a','<f8')]", "'>f2'"]
        )
        shapes = st.lists(st.integers(-2, 2**40), max_size=4).map(lambda s: str(tuple(s)))
        small = st.lists(st.integers(0, 3), max_size=3).map(lambda s: str(tuple(s)))
        return st.tuples(kinds, st.one_of(shapes, small), st.booleans(), st.integers(0, 80)).map(
            lambda t: npy_header(
                f"{{'descr': {t[0]}, 'fortran_order': {t[2]}, 'shape': {t[1]}, }}\n",
                body=b"\1" * t[3],
            )
        )
    return onnx_strategy()


def onnx_strategy() -> Any:
    """One to three operators with any small constants and attributes."""
    import numpy as np
    from broken_files import onnx_bytes
    from hypothesis import strategies as st

    from precond.formats.onnx.operators import OPERATORS

    names = [*sorted(OPERATORS), "Constant", "Shape", "Range", "Expand", "Tile", "ConstantOfShape"]
    tensors = ["x", "a", "b", "k", "h0", "h1", ""]
    ints = st.one_of(st.integers(-3, 6), st.sampled_from([2**31, -(2**31), 2**40, 2**62]))
    attributes = st.dictionaries(
        st.sampled_from(
            (
                *("axis", "axes", "perm", "alpha", "beta", "transA", "transB", "pads", "strides"),
                *("kernel_shape", "dilations", "group", "auto_pad", "to", "keepdims", "mode"),
            )
        ),
        st.one_of(ints, st.lists(ints, min_size=1, max_size=4), st.floats(), st.text(max_size=4)),
        max_size=3,
    )
    node = st.tuples(
        st.sampled_from(names), st.lists(st.sampled_from(tensors), max_size=4), attributes
    )
    shapes = st.lists(st.integers(0, 4), max_size=4)
    constant = st.one_of(
        shapes.map(lambda s: np.ones(s, np.float32)),
        st.lists(ints, max_size=4).map(lambda v: np.array(v, np.int64)),
    )

    def build(parts: Sequence[Any]) -> bytes:
        nodes, a, b, k, shape = parts
        made = [
            (op, inputs, [f"h{i}" if i + 1 < len(nodes) else "y"], more)
            for i, (op, inputs, more) in enumerate(nodes)
        ]
        try:
            return onnx_bytes(made, {"a": a, "b": b, "k": k}, shape)
        except (ValueError, TypeError, OverflowError):
            return b""

    inputs = st.sampled_from([(1, 4), (1, 1, 6, 6), (None, 4), (4,), (2, 3), (1, 2, 3)])
    return st.tuples(
        st.lists(node, min_size=1, max_size=3), constant, constant, constant, inputs
    ).map(build)


if __name__ == "__main__":
    main()
