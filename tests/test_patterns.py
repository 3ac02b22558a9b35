"""``precond patterns`` from end to end: what it prints, writes, and refuses."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from blobs import trained

from precond.cli import main
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.evaluate import outputs
from precond.proof.replay import in_region
from precond.proof.verdict import Status
from precond.report.plot.curves import share_chart
from precond.study.store import read_preconditions

QUICK = ["--domain", "unit", "--worst", "0.5", "--budget", "600", "--each", "20", "--cut", "relu1"]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.onnx, x.npy and y.npy: two values an input, three classes."""
    folder = tmp_path_factory.mktemp("given")
    network, data = trained(0, 2, 6, 6, 3)
    write_onnx(network, folder / "net.onnx")
    np.save(folder / "x.npy", data.inputs)
    assert data.labels is not None
    np.save(folder / "y.npy", data.labels)
    return folder


@pytest.fixture(scope="module")
def written(given: Path) -> Path:
    out = given / "out"
    arguments = ["patterns", str(given / "net.onnx"), "--inputs", str(given / "x.npy")]
    assert main([*arguments, "--labels", str(given / "y.npy"), *QUICK, "--out", str(out)]) == 0
    return out


def test_the_files(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {
        "preconditions.json",
        "report.html",
        "patterns.csv",
        "curves.csv",
        "ledger.sqlite",
    }


def test_patterns_of_the_whole_network_come_with_certificates(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each proves its entry, and ``prove --certificate`` believes it once it is checked."""
    pytest.importorskip("highspy")
    model, out = str(given / "net.onnx"), tmp_path / "out"
    arguments = ["patterns", model, "--inputs", str(given / "x.npy"), "--domain", "unit"]
    assert main([*arguments, "--cut", "input", "--budget", "600", "--out", str(out)]) == 0
    assert "with a certificate" in capsys.readouterr().out
    stored = read_preconditions(out / "preconditions.json")
    files = sorted((out / "certificates").iterdir())
    assert stored.preconditions and len(files) == len(stored.preconditions)
    for entry in stored.preconditions:
        assert entry.verdict.exact and entry.verdict.confirmed
    for file in files:
        assert main(["check", str(file), model]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("valid")
    again = ["prove", model, str(out / "preconditions.json"), "--certificate"]
    assert main([*again, str(out / "certificates")]) == 0
    assert capsys.readouterr().out.count("certificate ") >= len(files)


def test_every_entry_is_true_of_the_network(given: Path, written: Path) -> None:
    network = load(str(given / "net.onnx"))
    stored = read_preconditions(written / "preconditions.json")
    assert stored.preconditions
    x = np.random.default_rng(0).random((100_000, 2))
    for entry in stored.preconditions:
        assert entry.id.startswith(f"space-{entry.label}-")
        assert entry.verdict.status is Status.PROVED
        claim = stored.claim(entry, network)
        assert claim is not None
        inside = x[in_region(claim.problem, x)]
        assert (outputs(network, inside).argmax(1) == int(entry.label)).all()


def test_prove_proves_them_again(
    given: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    file = str(written / "preconditions.json")
    assert main(["prove", str(given / "net.onnx"), file, "--budget", "600"]) == 0
    shown = capsys.readouterr().out.splitlines()
    entries = json.loads(Path(file).read_text())["preconditions"]
    assert len(shown) == len(entries)
    assert all(re.match(r"space-\d-\d +proved", line) for line in shown)


def test_the_tables(written: Path) -> None:
    rows = list(csv.DictReader((written / "patterns.csv").open(newline="")))
    entries = json.loads((written / "preconditions.json").read_text())["preconditions"]
    assert [row["id"] for row in rows] == [entry["id"] for entry in entries]
    for row, entry in zip(rows, entries, strict=True):
        pattern = entry["pattern"]
        assert int(row["literals"]) == len(pattern["on"]) + len(pattern["off"])
        assert float(row["recall"]) == pytest.approx(entry["support"]["recall"], abs=1e-5)
        assert (row["status"], row["second"], row["cut"]) == ("proved", "proved", "relu1")
    curves = list(csv.DictReader((written / "curves.csv").open(newline="")))
    for name in ("time", "literals"):
        shares = [float(row["recall"]) for row in curves if row["curve"] == name]
        assert shares[0] == 0 and shares == sorted(shares) and shares[-1] > 0


class Page(HTMLParser):
    """Addresses, and text by heading."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else(written: Path) -> None:
    page = Page()
    page.feed((written / "report.html").read_text())
    assert page.scripts == 0
    assert page.addresses and all(a.startswith("data:") for a in page.addresses)
    for words in (
        "Which few neurons decide a class",
        "Over time",
        "Over the number of literals",
        "What forced its literals",
        "Second proof",
        "carry the class",
        "Input values",
    ):
        assert words in page.text, words


def test_pictures_of_inputs_with_and_without(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows given as pictures (one channel of 1 × 2 pixels) are shown as pictures."""
    np.save(tmp_path / "x.npy", np.load(given / "x.npy").reshape(-1, 1, 1, 2))
    arguments = ["patterns", str(given / "net.onnx"), "--inputs", str(tmp_path / "x.npy"), *QUICK]
    assert main([*arguments, "--label", "1", "--out", str(tmp_path / "out")]) == 0
    page = Page()
    page.feed((tmp_path / "out" / "report.html").read_text())
    assert "Held-out inputs of the class that have it" in page.text
    assert sum(a.startswith("data:image/png") for a in page.addresses) > 10
    assert "Class 0" not in page.text and "Class 1" in page.text


def test_the_printed_table(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    arguments = ["patterns", str(given / "net.onnx"), "--inputs", str(given / "x.npy"), *QUICK]
    assert main([*arguments, "--label", "1", "--label", "0"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"domain +\[0, 1\] for every input", shown)
    assert [line.split()[0] for line in shown.splitlines() if " relu1 " in line] == ["1", "0"]
    assert re.search(r"proved +2 of 2 classes, \d patterns, \d of them proved twice", shown)


def test_tables_are_asked_about_in_the_box_that_their_rows_show(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The values lie in [0, 1] as pixels do; the columns of the training rows show less.
    x = np.load(given / "x.npy")
    assert x.min() >= 0 and x.max() <= 1
    table = tmp_path / "x.csv"
    np.savetxt(table, x, delimiter=",", header="width,height", comments="")
    more = ["--label", "1", "--cut", "relu1", "--worst", "0.5", "--budget", "600"]
    assert main(["patterns", str(given / "net.onnx"), "--inputs", str(table), *more]) == 0
    assert re.search(r"domain +the box of the training data", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--domain", "ball:0.1"], "expected data, unit or LO:HI"),
        (["--domain", "4:2"], "--domain 4:2"),
        (["--cut", "fc1"], "a layer without on/off neurons"),
        (["--cut", "nothing"], "no such layer"),
        (["--label", "7"], "a class in 0..2"),
        (["--out", "/dev/null/x"], "a folder that can be written"),
    ],
)
def test_errors_say_what_was_expected(
    given: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["patterns", str(given / "net.onnx"), "--inputs", str(given / "x.npy")]
    assert main([*arguments, "--budget", "600", *more]) == 2
    assert message in capsys.readouterr().err


def test_a_curve_goes_through_its_points() -> None:
    points = [(0.0, 0.0, ""), (10.0, 0.5, "first"), (30.0, 1.0, "second")]
    svg = str(share_chart(points, across="seconds", up="recall", title="t", stairs=True))
    # 0, 5, …, 30 below; the plot is 460 wide from 60, 240 high from 12.
    assert re.findall(r'class="tick mid"[^>]*>(\d+)<', svg) == [
        "0",
        "5",
        "10",
        "15",
        "20",
        "25",
        "30",
    ]
    assert 'd="M60.0 252.0H213.3V132.0H520.0V12.0"' in svg
    assert svg.count("<circle") == 2 and "<title>first</title>" in svg
