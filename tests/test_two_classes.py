"""One network of two classes in three forms, on real data: a single logit, the sigmoid of it,
and a softmax of two outputs; every command takes each and says the same of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from attribution.methods.integrated import integrated_gradients
from precond.cli import main
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.activation import OutputActivation
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.deadline import Deadline
from precond.vnnlib.decide import Request, reply
from precond.vnnlib.formula import UnsupportedQuery

FORMS = ("logit", "sigmoid", "softmax")
Run = Callable[..., str]


@dataclass(frozen=True)
class Given:
    """A folder with ``FORM.onnx``, inputs, labels 0 and 1, and the same labels as −1 and 1."""

    folder: Path

    def model(self, form: str) -> str:
        return str(self.folder / f"{form}.onnx")

    def data(self, labels: str = "y") -> list[str]:
        inputs, given = self.folder / "x.npy", self.folder / f"{labels}.npy"
        return ["--inputs", str(inputs), "--labels", str(given)]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("cancer")
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.min(0)) / (x.max(0) - x.min(0))).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y.astype(np.int64))
    np.save(folder / "signs.npy", 2 * y.astype(np.int64) - 1)
    np.save(folder / "numbers.npy", y + 0.25)
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(one.parameters(), 1e-2)
    inputs, targets = torch.tensor(x), torch.tensor(y).float()[:, None]
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(one(inputs), targets)
        torch.autograd.backward(loss)
        optimizer.step()
    logit = network_of(one)
    *body, last = logit.nodes
    assert isinstance(last.layer, Affine)
    half = 0.5 * np.array([[-1.0], [1.0]])
    both = Affine(half @ last.layer.weight, half @ last.layer.bias)
    two = replace(logit, nodes=(*body, replace(last, layer=both)))
    write_onnx(logit, folder / "logit.onnx")
    for form, network in (("sigmoid", logit), ("softmax", two)):
        whole = replace(network, output_activation=OutputActivation(form))
        write_onnx(whole, folder / f"{form}.onnx")
    return Given(folder)


def network_of(module: nn.Sequential) -> Network:
    """Of linear layers and ReLUs in turn."""
    nodes: list[Node] = []
    for k, part in enumerate(module):
        layer: Affine | ReLU = ReLU()
        if isinstance(part, nn.Linear):
            weight, bias = (p.detach().double().numpy() for p in (part.weight, part.bias))
            layer = Affine(weight, bias)
        nodes.append(Node(f"n{k}", layer, (nodes[-1].name if nodes else "input",)))
    return Network(tuple(nodes), (30,))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object, status: int = 0) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == status
        shown = capsys.readouterr()
        return shown.out + shown.err

    return call


def same(texts: list[str]) -> bool:
    return len(set(texts)) == 1


def test_info(given: Given, run: Run) -> None:
    shown = {form: run("info", given.model(form)) for form in FORMS}
    assert "after a last sigmoid" in shown["sigmoid"] and "after a last softmax" in shown["softmax"]
    assert "class 1 where y0 > 0, else class 0" in shown["logit"]
    assert "class 1 where the logit > 0, else class 0" in shown["sigmoid"]


def test_robustness(given: Given, run: Run) -> None:
    """Within 0.002, where the bounds and the attack settle every ball, whatever the form."""
    words = ["--radius", "0.002", "--most", "60", "--budget", "60"]
    shown = [run("robustness", given.model(form), *given.data("signs"), *words) for form in FORMS]
    lines = [next(line for line in text.splitlines() if "radius" in line) for text in shown]
    assert same(lines) and "0 unknown" in lines[0]
    assert "logits, before the last sigmoid; class 1 where y0 > 0" in shown[1]
    assert "logits, before the last softmax" in shown[2]


def test_thresholds(given: Given, run: Run) -> None:
    """Probability 0.9 of the sigmoid is log 9 of the logit."""
    words = ["--radius", "0.001", "--most", "60", "--budget", "60", "--threshold"]
    shown = [
        run("robustness", given.model(form), *given.data(), *words, value)
        for form, value in (("logit", np.log(9.0)), ("sigmoid", 0.9), ("logit", 0.0))
    ]
    lines = [next(line for line in text.splitlines() if "radius" in line) for text in shown]
    assert same(lines[:2]) and lines[0] != lines[2]
    refused = run("robustness", given.model("softmax"), *given.data(), *words, "0.9", status=2)
    assert "expected a network of one output, got 2 outputs" in refused


def test_analyze_then_prove_and_monitor(given: Given, run: Run, tmp_path: Path) -> None:
    found = {}
    for form in FORMS:
        out = tmp_path / form
        words = ["--domain", "ball:0.002", "--per-class", "1", "--budget", "20", "--out", out]
        run("analyze", given.model(form), *given.data(), *words)
        stored = json.loads((out / "preconditions.json").read_text())
        entries = [e for e in stored["preconditions"] if e["kind"] == "input"]
        found[form] = [(e["label"], e["source"], e["verdict"]["status"]) for e in entries]
        assert {label for label, _, _ in found[form]} == {"0", "1"}
        assert all(status == "proved" for _, _, status in found[form])
        page = (out / "report.html").read_text()
        assert ("logits, before the last" in page) is (form != "logit")
        assert ("logits" in stored["network"].get("outputs_are", "")) is (form != "logit")
        again = run("prove", given.model(form), out / "preconditions.json")
        assert "CONTRADICTS" not in again
        watched = run("monitor", out / "preconditions.json", given.model(form), *given.data())
        assert "accuracy" in watched and "0 against it" in watched
    assert found["logit"] == found["sigmoid"]
    clause = stored["preconditions"][0]["property"]["all_of"][0]["any_of"][0]
    assert len(clause["outputs"]) == 2  # of the softmax: a comparison of its two logits


def test_debug(given: Given, run: Run, tmp_path: Path) -> None:
    counts = []
    for form in FORMS:
        words = ["--out", tmp_path / form, "--budget", "2", "--pages", "2"]
        shown = run("debug", given.model(form), *given.data(), *words)
        counts.append(next(line for line in shown.splitlines() if line.startswith("wrong")))
        pages = "".join(p.read_text() for p in (tmp_path / form).rglob("*.html"))
        assert ("logits before the last" in pages) is (form != "logit")
        assert ("integrated gradients of y1 − y0" in pages) is False or form == "softmax"
    assert same(counts)


def test_patterns(given: Given, run: Run) -> None:
    shown = [
        run("patterns", given.model(form), *given.data(), "--budget", "2", "--domain", "data")
        for form in FORMS
    ]
    assert all(re.search(r"proved +\d of 2 classes", text) for text in shown)


def test_distill(given: Given, run: Run, tmp_path: Path) -> None:
    """So small a network is not worth an exit; that is said after votes were learned."""
    for form in FORMS:
        words = ["--out", tmp_path / form, "--no-compile", "--max-loss", "5"]
        shown = run("distill", given.model(form), *given.data(), *words, status=3)
        assert "\nNot worth it: " in shown, shown


def test_explain(given: Given, run: Run, tmp_path: Path) -> None:
    """The probability by quadrature; the logit, exactly, when asked for, and then said."""

    def explained(form: str, *more: str) -> tuple[str, np.ndarray]:
        words = ["--index", "3", "--out", tmp_path / "e.npz", *more]
        inputs = given.data()[:2]
        shown = run("explain", given.model(form), *inputs, *words)
        return shown, np.load(tmp_path / "e.npz")["part0"].ravel()

    inputs = given.data()[:2]
    for form in ("sigmoid", "softmax"):
        words = ["--index", "3", "--out", tmp_path / "e.npz", "--exact"]
        assert f"a model that ends in {form}" in run(
            "explain", given.model(form), *inputs, *words, status=2
        )
    of_sigmoid = explained("sigmoid")[1]
    of_softmax = explained("softmax", "--quantity", "class:1")[1]
    np.testing.assert_allclose(of_sigmoid, of_softmax, atol=1e-3 * np.abs(of_softmax).max())
    text, of_logits = explained("sigmoid", "--exact", "--outputs", "logits")
    assert "of the logits, before the last sigmoid" in text
    np.testing.assert_allclose(of_logits, explained("logit", "--exact")[1], rtol=1e-6)
    against = explained("logit", "--quantity", "class:0", "--exact")[1]
    np.testing.assert_allclose(against, -of_logits, rtol=1e-6)


def test_ranges_speak_of_probabilities_unless_asked(given: Given, run: Run) -> None:
    words = [*given.data()[:2], "--domain", "data", "--budget", "20"]
    for form in ("sigmoid", "softmax"):
        shown = run("robustness", given.model(form), *words, "--range", "0:-0.5:1.5")
        assert "proved" in shown and "logit" not in shown
        shown = run(
            *("robustness", given.model(form), *words, "--range", "0:-0.5:1.5"),
            *("--outputs", "logits"),
        )
        assert "refuted" in shown and "y: logits" in shown
    refused = run("robustness", given.model("softmax"), *words, "--monotone", "0:up", status=2)
    assert "ends in softmax" in refused and "--outputs logits" in refused


def test_numbers_to_be_fitted_are_no_classes(given: Given, run: Run) -> None:
    shown = run("robustness", given.model("logit"), *given.data("numbers"), status=2)
    assert "Numbers to be fitted are no classes" in shown and "--range" in shown


def test_verify_and_check(given: Given, run: Run, tmp_path: Path) -> None:
    """0.1 ≤ p ≤ 0.9 nowhere near one input of the data; the certificate is about its logit."""
    network = load(given.model("sigmoid"))
    x = np.load(given.folder / "x.npy")[:20].astype(np.float64)
    row = x[np.abs(outputs(network, x)[:, 0]).argmax()]
    low = OutputActivation.SIGMOID.of(outputs(network, row[None]))[0, 0] < 0.5
    text = "".join(
        f"(declare-const X_{i} Real)(assert (>= X_{i} {v - 0.001:.12f}))"
        f"(assert (<= X_{i} {v + 0.001:.12f}))"
        for i, v in enumerate(row.tolist())
    )
    violated = "(>= Y_0 0.6)" if low else "(<= Y_0 0.4)"
    query = tmp_path / "q.vnnlib"
    query.write_text(f"{text}(declare-const Y_0 Real)(assert {violated})")
    request = Request(
        query=query, networks=(given.model("sigmoid"),), exact=True, certificates=tmp_path
    )
    said: list[str] = []
    assert reply(request, Deadline.after(60), said.append).startswith("unsat")
    assert "claims are about the logits, before the last sigmoid" in said
    (certificate,) = tmp_path.glob("*.certificate")
    shown = run("check", certificate, given.model("sigmoid"))
    assert "logits before the last sigmoid" in shown and shown.rstrip().endswith("valid")
    assert "another network" in run("check", certificate, given.model("logit"), status=1)
    query.write_text(f"{text}(declare-const Y_0 Real)(assert (<= (+ Y_0 X_0) 0.4))")
    with pytest.raises(UnsupportedQuery, match=r"ends in sigmoid"):
        reply(request, Deadline.after(60), said.append)
    logits = replace(request, outputs="logits")
    assert reply(logits, Deadline.after(60), said.append).split()[0] in ("sat", "unsat")


def test_attribution_of_modules() -> None:
    """Exact and secant gradients of a module that ends in softmax: of its logits, when asked."""
    torch.manual_seed(1)
    body = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    module, x = nn.Sequential(body, nn.Softmax(1)), torch.randn(3, 4).double()
    with torch.no_grad():
        logits = (body(x) - body(torch.zeros(1, 4).double()))[:, 0].numpy()
        shares = (module(x) - module(torch.zeros(1, 4).double()))[:, 0].numpy()
    for method in ("exact", "secant", "gauss"):
        asked = integrated_gradients(module, x, 0.0, 0, method=method, steps=400, outputs="logits")
        np.testing.assert_allclose(asked.values.sum(1), logits, atol=1e-3)
        assert "of the logits, before the last softmax" in asked.notes
    network = load(module, (4,))
    for model in (module, network):
        found = integrated_gradients(model, x, 0.0, 0, steps=400)
        np.testing.assert_allclose(found.values.sum(1), shares, atol=1e-3)
    plain = integrated_gradients(replace(network.logits), x, 0.0, 0, method="exact")
    assert plain.notes == ("of the logits, before the last softmax",)
