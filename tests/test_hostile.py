"""Broken and hostile files: one clear error each, soon, and nothing runs, grows or crashes."""

from __future__ import annotations

import cProfile
import resource
import signal
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from broken_files import (
    NNET,
    PLAIN,
    VNNLIB,
    Broken,
    certificate_broken,
    data_broken,
    json_broken,
    nnet_broken,
    onnx_broken,
    onnx_good,
    preconditions_text,
    torch_broken,
    vnnlib_broken,
)
from clocks import HANG
from known import at_least, box, phases

from precond.cli import main
from precond.data.datasets import load_dataset
from precond.errors import PrecondError
from precond.formats.load import load
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.study.store import read_preconditions
from precond.vnnlib.read import read_vnnlib

CALLS = 4_000_000  # of functions of Python, for one file
GROWTH = 400 << 20  # bytes that the process may grow by over a whole family of files


@contextmanager
def cut_off() -> Iterator[None]:
    """After so much processor time that only a loop without an end takes it."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def complaint(read: Callable[[Path], object], broken: Broken, folder: Path) -> str:
    """What is wrong with how ``read`` takes the file, or nothing."""
    path = folder / broken.name
    path.write_bytes(broken.content)
    for name, content in broken.beside.items():
        (folder / name).write_bytes(content)
    spent = cProfile.Profile(subcalls=False, builtins=False)
    said = ""
    try:
        with cut_off(), spent, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            read(path)
        said = "was read" if broken.refused else ""
    except PrecondError as error:
        text = str(error)
        if "\n" in text or not text:
            said = f"more than one line: {text!r}"
        elif len(text) > 1500:
            said = f"a line of {len(text)} characters: {text[:200]}"
        elif "allocate" in text:
            said = f"a large allocation was tried: {text[:200]}"
        elif path.name not in text:
            said = f"a message that does not name the file: {text[:200]}"
    except BaseException as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
    count = sum(entry.callcount for entry in spent.getstats())
    if not said and count > CALLS:
        said = f"took {count} calls"
    if not said and warned:
        said = f"a warning: {warned[0].message}"
    return f"{broken.name}: {said}" if said else ""


def assert_refused(
    read: Callable[[Path], object],
    files: Iterable[Broken],
    folder: Path,
    least: int,
    *,
    traced: bool = True,
) -> None:
    """Of at least ``least`` files; ``traced``: count every allocation too, which takes time."""
    count = 0
    wrong = []
    if traced:
        tracemalloc.start()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for broken in files:
        count += 1
        if traced:
            tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        wrong.append(complaint(read, broken, folder))
        asked = tracemalloc.get_traced_memory()[1] - before
        if asked > GROWTH:  # numpy tells tracemalloc of memory that is never touched, too
            wrong.append(f"{broken.name}: {asked >> 20} MiB were allocated")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        if sys.platform == "linux" and grown > GROWTH >> 10:
            wrong.append(f"{broken.name}: the process grew by {grown >> 10} MiB")
            peak += grown
    tracemalloc.stop()
    found = [said for said in wrong if said]
    assert not found, f"{len(found)} of {count}:\n" + "\n".join(found)
    assert count >= least
    assert not list(folder.rglob("ran")), "code in a file was run"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(80))
    monkeypatch.chdir(tmp_path)


def test_onnx(tmp_path: Path) -> None:
    for name, content in onnx_good().items():
        (tmp_path / name).write_bytes(content)
        assert load(tmp_path / name).neurons > 0
    assert_refused(load, onnx_broken(), tmp_path / "files", 200)


def test_nnet(tmp_path: Path) -> None:
    (tmp_path / "good.nnet").write_text(NNET)
    assert load(tmp_path / "good.nnet").neurons == 2
    assert_refused(load, nnet_broken(), tmp_path / "files", 70)


def test_torch(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        load(path, activation=None if path.suffix == ".pt2" else "relu")

    assert_refused(read, torch_broken(), tmp_path / "files", 90, traced=False)


def test_vnnlib(tmp_path: Path) -> None:
    (tmp_path / "good.vnnlib").write_text(VNNLIB)
    assert len(read_vnnlib(tmp_path / "good.vnnlib", PLAIN).claims) == 1

    def read(path: Path) -> None:
        read_vnnlib(path, PLAIN)

    assert_refused(read, vnnlib_broken(), tmp_path / "files", 130, traced=False)


def read_all_claims(path: Path) -> None:
    stored = read_preconditions(path)
    for entry in stored.preconditions:
        try:
            stored.claim(entry, PLAIN)
        except PrecondError as error:  # about the entry: the file is not known there any more
            raise PrecondError(f"{path}: {error}") from error


def test_json(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(preconditions_text())
    read_all_claims(tmp_path / "good.json")
    assert_refused(read_all_claims, json_broken(preconditions_text()), tmp_path / "files", 110)


def test_data(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        dataset = load_dataset(str(path))
        assert np.isfinite(dataset.inputs).all()

    assert_refused(read, data_broken(), tmp_path / "files", 120)


def test_certificates(tmp_path: Path) -> None:
    """Read and checked: refused, invalid, or still a proof of what they state."""
    from precond.checker.exact import check
    from precond.checker.files import read_certificate, write_certificate
    from precond.proof.certificates.certify import certify

    claim = Claim(PLAIN, box((0.5, 1), (-1, 1)), phases([0]), at_least(-0.5, 1.0, 1.0))
    certificate = certify(claim, prove(claim, keep_trace=True))
    write_certificate(certificate, tmp_path / "good.cert")
    assert check(read_certificate(tmp_path / "good.cert"), PLAIN).valid

    def read(path: Path) -> None:
        check(read_certificate(path), PLAIN)

    files = certificate_broken((tmp_path / "good.cert").read_bytes())
    assert_refused(read, files, tmp_path / "files", 130)


@pytest.mark.parametrize(
    "command",
    [
        ["info", "FILE.onnx"],
        ["prove", "FILE.onnx", "FILE.json"],
        pytest.param(["verify", "FILE.vnnlib", "--network", "FILE.onnx"], marks=pytest.mark.slow),
        ["analyze", "FILE.onnx", "--inputs", "FILE.npy", "--out", "out"],
        ["ledger", "FILE.sqlite", "list"],
    ],
)
def test_commands_say_one_line(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Status 2 and one line that names the file; no traceback."""
    words = [word.replace("FILE", "broken") for word in command]
    for word in words:
        if word.startswith("broken."):
            (tmp_path / word).write_bytes(b"\x93NUMPY, perhaps, or perhaps not" * 9)
    assert main(words) == 2
    shown = capfd.readouterr()
    lines = shown.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("precond: ") and "broken." in lines[0]
    assert shown.out == ""


def test_a_data_file_beside_the_model_is_not_followed_outside(tmp_path: Path) -> None:
    """A link beside the model that points elsewhere is refused."""
    from broken_files import WEIGHTS, _external

    folder = tmp_path / "files"
    secret = tmp_path / "secret.bin"
    secret.write_bytes(WEIGHTS["w"].tobytes())
    (folder / "link.bin").symlink_to(secret)
    (folder / "model.onnx").write_bytes(_external("link.bin"))
    with pytest.raises(PrecondError, match="external data inside the model's folder"):
        load(folder / "model.onnx")
    (folder / "own.bin").write_bytes(WEIGHTS["w"].tobytes())
    (folder / "model.onnx").write_bytes(_external("own.bin"))
    assert load(folder / "model.onnx").neurons == 5
