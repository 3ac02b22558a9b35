"""Every benchmark: its question, what stands beside ours, its command, and what it costs.

A *quick* command answers the question on little data; all of them together stay below ten minutes
on two idle cores (``make bench-quick``).  A *full* command is what the documents quote
(``make bench NAME=…``).  ``{out}`` is where the benchmark writes its JSON.  ``{peers}`` is the
interpreter of ``make peers``, ``{data}`` the folder of public networks that are not in this
repository; the folder's layout is that of VNN-COMP.  A ``Figure`` names a number of that JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Place = tuple["str | int", ...]


class Size(Enum):
    QUICK = "quick"
    FULL = "full"


class Unit(Enum):
    """How a figure is written."""

    COUNT = "{:,.0f}"
    LENGTH = "{:,d}"
    """Of a list: how many entries it has."""
    NUMBER = "{:.3g}"
    PERCENT = "{:.1%}"
    SECONDS = "{:.3g} s"
    TIMES = "{:.3g} times"


@dataclass(frozen=True)
class Figure:
    """A number of a benchmark's JSON: what it is, and the keys that lead to it."""

    what: str
    place: Place
    unit: Unit = Unit.COUNT


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """``quick`` and ``full`` are commands after ``python``; ``cpu_seconds`` rough ones of each.

    A command without ``{out}`` writes no JSON of its own: what it prints is kept.
    """

    name: str
    question: str
    quick: str | None
    full: str
    cpu_seconds: tuple[int | None, int]
    peers: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()

    def command(self, size: Size) -> str | None:
        return self.quick if size is Size.QUICK else self.full


TENTH_OF_UNITS: Place = ("experts", "mnist-mlp", "relu3")
WEAK_CLASSES: Place = ("experts", "fashion-cnn", "weakest")

BENCHMARKS = (
    Benchmark(
        name="alarm",
        question="Is the network more often right where a rule proved for every input holds?",
        quick="benchmarks/alarm.py models/digits-mlp.onnx --inputs digits --analyze 90 --out {out}",
        full="benchmarks/alarm.py models/digits-mlp.onnx --inputs digits --analyze 300 --out {out}",
        cpu_seconds=(40, 150),
        figures=(
            Figure("rules proved for every input", ("rules",)),
            Figure("held-out digits that obey one", ("inside", "share"), Unit.PERCENT),
            Figure("network right inside", ("right_inside", "share"), Unit.PERCENT),
            Figure("network right outside", ("right_outside", "share"), Unit.PERCENT),
        ),
    ),
    Benchmark(
        name="alarm-256x4",
        question="The same for mnist-net_256x4 of VNN-COMP and patterns over all of [0, 1]^784",
        quick=None,
        full="benchmarks/alarm.py {data}/mnistfc/mnist-net_256x4.onnx --inputs mnist-5k "
        "--patterns 1000 --cut relu3 --out {out}",
        cpu_seconds=(None, 900),
        figures=(
            Figure("rules proved for every input", ("rules",)),
            Figure("held-out digits that obey one", ("inside", "share"), Unit.PERCENT),
            Figure("network right inside", ("right_inside", "share"), Unit.PERCENT),
            Figure("network right outside", ("right_outside", "share"), Unit.PERCENT),
        ),
    ),
    Benchmark(
        name="soundness",
        question="How often is a verdict wrong on random small networks whose truth z3 knows?",
        quick="benchmarks/soundness.py --count 150 --out {out}",
        full="benchmarks/soundness.py --count 3000 --out {out}",
        cpu_seconds=(50, 1800),
        peers=("z3",),
        figures=(Figure("claims", ("count",)), Figure("wrong verdicts", ("wrong",), Unit.LENGTH)),
    ),
    Benchmark(
        name="soundness-extremes",
        question="And at the edges of float64?",
        quick="benchmarks/soundness.py --extreme --each 0.5 --budget 1 --count 60 --out {out}",
        full="benchmarks/soundness.py --extreme --exact --each 0.5 --budget 1 --count 2000 "
        "--out {out}",
        cpu_seconds=(20, 4000),
        peers=("z3",),
        figures=(Figure("claims", ("count",)), Figure("wrong verdicts", ("wrong",), Unit.LENGTH)),
    ),
    Benchmark(
        name="altered-certificates",
        question="Is a certificate with one changed number ever called valid?",
        quick="benchmarks/trust_altered.py --damage 100 --out {out}",
        full="benchmarks/trust_altered.py --damage 1000 --out {out}",
        cpu_seconds=(25, 300),
        figures=(
            Figure("changes that break a proof", ("broken",)),
            Figure("called valid", ("accepted",), Unit.LENGTH),
        ),
    ),
    Benchmark(
        name="altered-multipliers",
        question="And one whose multipliers are a thousandfold, huge, another's, or no numbers?",
        quick=None,
        full="benchmarks/trust_altered.py --multipliers --damage 500 --out {out}",
        cpu_seconds=(None, 100),
        figures=(
            Figure("changes that break a proof", ("broken",)),
            Figure("numbers that none may have", ("formless",)),
            Figure("called valid", ("accepted",), Unit.LENGTH),
        ),
    ),
    Benchmark(
        name="forged-files",
        question="Is a damaged or forged certificate file ever believed, or dear to refuse?",
        quick="benchmarks/trust_fuzz.py --changes 200",
        full="benchmarks/trust_fuzz.py --changes 5000",
        cpu_seconds=(30, 600),
    ),
    Benchmark(
        name="certificates",
        question="How many proofs of trained networks get a valid certificate, at what cost?",
        quick=None,
        full="benchmarks/trust.py --certificates --stride 2 --pictures 16 --out {out}.folder",
        cpu_seconds=(None, 3600),
    ),
    Benchmark(
        name="certified",
        question="Which proofs of small networks get no certificate, and why?",
        quick=None,
        full="benchmarks/certified.py --networks 3000 --lines {out}.lines --out {out}",
        cpu_seconds=(None, 900),
        peers=("z3",),
        figures=(
            Figure("claims", ("claims",)),
            Figure("decided", ("decided",)),
            Figure("proofs", ("proofs",)),
            Figure("with a certificate", ("certified",)),
        ),
    ),
    Benchmark(
        name="small-networks",
        question="How often are a float solver's verdicts wrong, and ours with a certificate?",
        quick=None,
        full="benchmarks/trust.py --networks 3000 --out {out}.lines",
        cpu_seconds=(None, 3600),
        peers=("z3", "Marabou"),
    ),
    Benchmark(
        name="float32",
        question="Are proofs about float32 runs true, and how many real ones stay?",
        quick="benchmarks/float_execution.py broken --claims 40 --out {out}",
        full="benchmarks/float_execution.py broken --claims 3000 --out {out}",
        cpu_seconds=(10, 3000),
    ),
    Benchmark(
        name="kills",
        question="Does a run that is killed at any moment end as if it had not been?",
        quick="benchmarks/kills.py --kills 5 --claims 60 --out {out}",
        full="benchmarks/kills.py --kills 50 --out {out}",
        cpu_seconds=(10, 600),
        figures=(
            Figure("kills", ("kills",)),
            Figure("verdicts that changed once shown", ("verdicts that changed once shown",)),
            Figure("verdicts that differ at the end", ("verdicts that differ",)),
        ),
    ),
    Benchmark(
        name="workers",
        question="Does a long run with workers leave everything as it found it?",
        quick=None,
        full="benchmarks/workers.py --minutes 60 --out {out}",
        cpu_seconds=(None, 7200),
    ),
    Benchmark(
        name="readers",
        question="Do readers refuse broken files in one line?",
        quick="benchmarks/fuzz.py --seconds 30 --out {out}",
        full="benchmarks/fuzz.py --seconds 600 --out {out}",
        cpu_seconds=(20, 700),
    ),
    Benchmark(
        name="convolution",
        question="How many held-out digits do the bounds certify on a network with max-pools?",
        quick="benchmarks/convolution.py digits --most 2 --radii 0.002 --out {out}",
        full="benchmarks/convolution.py digits --out {out}",
        cpu_seconds=(10, 1200),
    ),
    Benchmark(
        name="acasxu",
        question="How fast are proofs on ACAS Xu beside two other verifiers?",
        quick=None,
        full="benchmarks/verification.py --suite acasxu --instances subset32 "
        "--engines precond,vibecheck,marabou --vibecheck-python {peers} --data {data} --out {out}",
        cpu_seconds=(None, 4000),
        peers=("vibecheck-nn", "maraboupy"),
    ),
    Benchmark(
        name="acasxu-all",
        question="Are all queries of properties 1 to 4 on the 45 ACAS Xu networks decided?",
        quick=None,
        full="benchmarks/verification.py --suite acasxu --instances all --engines precond "
        "--repeat 1 --cap 116 --data {data} --out {out}",
        cpu_seconds=(None, 200),
    ),
    Benchmark(
        name="acasxu-certified",
        question="The same, with a checked certificate for each that holds: at what cost?",
        quick=None,
        full="benchmarks/certified.py --suite acasxu --data {data} --budget 116 "
        "--lines {out}.lines --out {out}",
        cpu_seconds=(None, 230),
        figures=(
            Figure("queries", ("claims",)),
            Figure("decided", ("decided",)),
            Figure("proofs", ("proofs",)),
            Figure("with a certificate", ("certified",)),
            Figure("wrong", ("wrong",), Unit.LENGTH),
            Figure("search, CPU", ("seconds", "proof"), Unit.SECONDS),
            Figure("certificates made and checked once, CPU", ("seconds", "certify"), Unit.SECONDS),
            Figure("files read and checked, CPU", ("seconds", "check"), Unit.SECONDS),
        ),
    ),
    Benchmark(
        name="vnncomp",
        question="Queries of the verification competition, in processor seconds",
        quick=None,
        full="benchmarks/verification.py --suite vnncomp --instances sample40 "
        "--engines precond,vibecheck --vibecheck-python {peers} --data {data} --out {out}",
        cpu_seconds=(None, 6000),
        peers=("vibecheck-nn",),
    ),
    Benchmark(
        name="whole-space",
        question="How much of a class do patterns proved over all of [0, 1]^784 hold for?",
        quick=None,
        full="benchmarks/whole_space.py --budget 1800 --workers 2 --attack 1000000 --out {out}",
        cpu_seconds=(None, 14400),
    ),
    Benchmark(
        name="relaxation",
        question="How many proofs does an input precondition take, beside one neuron at a time?",
        quick=None,
        full="benchmarks/relaxation.py --network mnist --out {out}",
        cpu_seconds=(None, 4000),
        peers=("maraboupy",),
    ),
    Benchmark(
        name="relaxation-acas",
        question="The same on ACAS Xu",
        quick="benchmarks/relaxation.py --network acas --inputs 2 --sampled 2 --each 2 --budget 60 "
        "--limit 300 --out {out}",
        full="benchmarks/relaxation.py --network acas --out {out}",
        cpu_seconds=(70, 4000),
        figures=(
            Figure("literals of the first input, ours", ("rows", 0, "ours", "literals")),
            Figure("one proof a neuron", ("rows", 0, "textbook", "literals")),
            Figure("proofs, ours", ("rows", 0, "ours", "proofs")),
            Figure("one proof a neuron", ("rows", 0, "textbook", "proofs")),
        ),
        peers=("maraboupy",),
    ),
    Benchmark(
        name="input-preconditions",
        question="How few of 100 neurons imply a class for every picture, and what boxes fit?",
        quick=None,
        full="benchmarks/input_preconditions.py --inputs 10 --out {out}",
        cpu_seconds=(None, 100),
        figures=(
            Figure("digits", ("inputs",)),
            Figure("patterns proved", ("proved",)),
            Figure("fewest neurons", ("fewest",)),
            Figure("most", ("most",)),
            Figure("patterns proved in a ball of radius 0.05", ("near", "proved")),
            Figure("fewest neurons there", ("near", "fewest")),
            Figure("most there", ("near", "most")),
            Figure("boxes inside them, proved", ("boxes",)),
        ),
    ),
    Benchmark(
        name="sufficient-verix",
        question="How few pixels suffice on the network that was published with VeriX?",
        quick=None,
        full="-m benchmarks.sufficient --model {data}/verix/mnist-10x2.onnx --radius 0.05 "
        "--most 20 --budget 15 --each 2 --out {out}",
        cpu_seconds=(None, 120),
        figures=(
            Figure("pixels of 784 that suffice, mean", ("ways", "ours", "size")),
            Figure("seconds for one digit, mean", ("ways", "ours", "seconds"), Unit.SECONDS),
            Figure("with a certificate", ("ways", "ours", "certified")),
        ),
    ),
    Benchmark(
        name="sufficient",
        question="How few columns of a table suffice for a prediction, proved?",
        quick="-m benchmarks.sufficient --tables --most 4 --out {out}",
        full="-m benchmarks.sufficient --model models/mnist-mlp.onnx --most 15 --beside 2 "
        "--out {out}",
        cpu_seconds=(85, 3600),
        peers=("one by one (VeriX)", "maraboupy"),
    ),
    Benchmark(
        name="anchors",
        question="Rules that are counted on samples (Anchors) and rules that are proved",
        quick="benchmarks/anchors.py --inputs 4 --anchors-python {peers} --out {out}",
        full="benchmarks/anchors.py --inputs 50 --anchors-python {peers} --out {out}",
        cpu_seconds=(20, 400),
        peers=("anchor-exp",),
        figures=(
            Figure("rows explained", ("inputs",)),
            Figure("anchors that hold for every row, proved", ("anchors_proved",)),
            Figure("anchors that a row breaks", ("anchors_refuted",)),
            Figure("ours with a certificate", ("ours_certified",)),
        ),
    ),
    Benchmark(
        name="anchors-digits",
        question="The same on digits, each pixel a column, beside rules over values of a layer",
        quick=None,
        full="benchmarks/anchors.py --digits --inputs 6 --anchors-python {peers} --out {out}",
        cpu_seconds=(None, 100),
        peers=("anchor-exp",),
        figures=(
            Figure("digits explained", ("inputs",)),
            Figure("anchors that hold for every picture, proved", ("anchors_proved",)),
            Figure("anchors that a picture breaks", ("anchors_refuted",)),
            Figure("held-out digits in an anchor", ("means", "anchors", "coverage"), Unit.PERCENT),
            Figure("sets of pixels with a certificate", ("ours_certified",)),
            Figure("held-out digits in such a set", ("means", "ours", "coverage"), Unit.PERCENT),
            Figure("digits that obey a rule proved for every picture", ("rows_with_rule",)),
        ),
    ),
    Benchmark(
        name="decomposition",
        question="What does a proof in two halves cost beside the direct one?",
        quick="-m benchmarks.decomposition {data}/acasxu --queries 4_5:3 --budget 20 --out {out}",
        full="-m benchmarks.decomposition {data}/acasxu --out {out}",
        cpu_seconds=(12, 3600),
        figures=(
            Figure("through a layer, processor", ("queries", 0, "everything_cpu"), Unit.SECONDS),
            Figure("direct, processor", ("queries", 0, "direct_cpu"), Unit.SECONDS),
        ),
    ),
    Benchmark(
        name="attribution",
        question="What do exact attributions cost, and how far are Captum's from them?",
        quick="benchmarks/attributions.py --quick --only exact --clock cpu --threads 1 --out {out}",
        full="benchmarks/attributions.py --out {out}",
        cpu_seconds=(20, 1800),
        peers=("captum",),
    ),
    Benchmark(
        name="ablations",
        question="What is each engine for, and each order of relaxation?",
        quick=None,
        full="-m benchmarks.ablations --digits 8 --each 3 --out {out}",
        cpu_seconds=(None, 250),
    ),
    Benchmark(
        name="engine-order",
        question="Which search over phases should come first, and do features of a claim tell?",
        quick=None,
        full="-m benchmarks.engine_order --data {data} --digits 5 --each 10 --out {out}",
        cpu_seconds=(None, 500),
        figures=(
            Figure("cost of today's order", ("today",), Unit.SECONDS),
            Figure("if each claim had its best order", ("least",), Unit.SECONDS),
        ),
    ),
    Benchmark(
        name="rule-kinds",
        question="What do a tree, several, values and votes give as rules of a layer?",
        quick=None,
        full="benchmarks/rule_kinds.py --out {out}",
        cpu_seconds=(None, 20),
        figures=tuple(
            Figure(f"mnist-mlp, {kind}: {what}", ("mnist-mlp", kind, what), Unit.PERCENT)
            for kind in ("tree", "forest", "values", "proved", "weighted")
            for what in ("coverage", "precision")
        ),
    ),
    Benchmark(
        name="experts",
        question="Which ranking of units finds those that stand for a class?",
        quick="benchmarks/attributions.py --quick --only experts --clock cpu --threads 1 "
        "--out {out}",
        full="benchmarks/attributions.py --only experts --clock cpu --threads 1 --out {out}",
        cpu_seconds=(15, 600),
        figures=(
            *(
                Figure(
                    f"{what}, a tenth of mnist-mlp relu3 by {ranking}",
                    (*TENTH_OF_UNITS, ranking, "0.1", what),
                    Unit.NUMBER,
                )
                for ranking in ("influence", "activation")
                for what in ("recall", "precision")
            ),
        ),
    ),
    Benchmark(
        name="influence",
        question="Do influences make experts, generalise, and tell errors, as their study says?",
        quick=None,
        full="-m benchmarks.influence --out {out}",
        cpu_seconds=(None, 90),
        figures=(
            *(
                Figure(f"five weakest classes of fashion-cnn: {words}", (*WEAK_CLASSES, key), unit)
                for words, key, unit in (
                    ("recall of the network", "recall", Unit.NUMBER),
                    ("recall of experts", "expert_recall", Unit.NUMBER),
                    ("precision of the network", "precision", Unit.NUMBER),
                    ("precision of experts", "expert_precision", Unit.NUMBER),
                )
            ),
        ),
    ),
    Benchmark(
        name="clipping",
        question="What does clipping attributions at the 99th percentile keep, and change?",
        quick=None,
        full="benchmarks/clipping.py --out {out}",
        cpu_seconds=(None, 20),
        figures=(
            Figure(
                "sum of magnitudes that stays, mnist-cnn",
                ("mnist-cnn", "percentile", "mass"),
                Unit.PERCENT,
            ),
        ),
    ),
    Benchmark(
        name="over-stability",
        question="Is an answer that does not rest on the question found out?",
        quick=None,
        full="benchmarks/over_stability.py --out {out}",
        cpu_seconds=(None, 10),
        figures=(
            Figure("right with four words left", ("word", "alone", "4"), Unit.PERCENT),
            Figure("right where the shortcut is gone", ("word", "without_shortcut"), Unit.PERCENT),
        ),
    ),
    Benchmark(
        name="clusters",
        question="How pure are clusters by shared rules, and how far apart, beside k-means?",
        quick=None,
        full="benchmarks/clusters.py --out {out}",
        cpu_seconds=(None, 15),
        peers=("k-means",),
        figures=tuple(
            Figure(f"mnist-mlp, {way}: {words}", ("mnist-mlp", way, key), unit)
            for way in ("rules", "k-means of activations")
            for words, key, unit in (
                ("purity on held-out digits", "held_out_purity", Unit.PERCENT),
                ("silhouette of activations", "silhouette_activations", Unit.NUMBER),
            )
        ),
    ),
    Benchmark(
        name="concepts",
        question="Do concept tests and probes say what their papers say?",
        quick="-m benchmarks.concepts --only margins",
        full="-m benchmarks.concepts",
        cpu_seconds=(10, 1200),
    ),
    Benchmark(
        name="diagnosis",
        question="Do diagnoses (what two networks share, bands, …) say what papers say?",
        quick=None,
        full="-m benchmarks.diagnosis",
        cpu_seconds=(None, 1800),
    ),
    Benchmark(
        name="sufficient-confidence",
        question="Is the size of the set that suffices a sign of doubt, beside softmax?",
        quick=None,
        full="-m benchmarks.sufficient_confidence --model models/mnist-mlp.onnx --most 20",
        cpu_seconds=(None, 600),
        peers=("softmax", "monitor"),
    ),
    Benchmark(
        name="simplify",
        question="How much of a network can go with the same outputs, proved?",
        quick=None,
        full="benchmarks/simplify.py models/mnist-sparse-mlp.onnx models/mnist-sparse-cnn.onnx "
        "--samples 1000000 --out {out}",
        cpu_seconds=(None, 1200),
    ),
    Benchmark(
        name="debug",
        question="Does debugging find planted defects and flipped labels?",
        quick="-m benchmarks.debug labels causes --seeds 1 --out {out}",
        full="-m benchmarks.debug labels causes planted actions --out {out}",
        cpu_seconds=(60, 1800),
        figures=(
            Figure("suspects that are flipped labels", ("labels", 0, "precision"), Unit.PERCENT),
            Figure("flipped labels found", ("labels", 0, "recall"), Unit.PERCENT),
            Figure("errors that causes explain", ("causes", 0, "all"), Unit.PERCENT),
        ),
    ),
    Benchmark(
        name="adversarial",
        question="What does retraining on counterexamples change?",
        quick=None,
        full="-m benchmarks.adversarial --out {out}",
        cpu_seconds=(None, 900),
    ),
    Benchmark(
        name="distillation",
        question="How much faster is a distilled fast path, at what loss?",
        quick=None,
        full="benchmarks/distillation.py --cache networks --out {out}",
        cpu_seconds=(None, 7200),
        peers=("torch.compile", "linear exit", "smaller network"),
    ),
    Benchmark(
        name="distillation-small",
        question="The same for one network, exits that learn from few inputs, not compiled",
        quick=None,
        full="-m benchmarks.distillation mnist-5k --rows 60000 --no-compile "
        "--cache {out}.networks --out {out}",
        cpu_seconds=(None, 150),
        peers=("linear exit", "smaller network"),
        figures=(
            Figure("accuracy", ("mnist-5k", "accuracy", "plain"), Unit.PERCENT),
            Figure("with the fast path", ("mnist-5k", "accuracy", "fast"), Unit.PERCENT),
            Figure("faster at batch 64", ("mnist-5k", "times_faster", "64"), Unit.TIMES),
        ),
    ),
    Benchmark(
        name="monitor",
        question="How many inputs a second does a monitor of 500 rules see?",
        quick="benchmarks/monitor.py --threads 1 --out {out}",
        full="benchmarks/monitor.py --threads 2 --out {out}",
        cpu_seconds=(50, 40),
        figures=(
            Figure("differences from one literal at a time, of decisions", ("differences", 0)),
            Figure("the same, from the inputs on", ("differences", 1)),
        ),
    ),
    Benchmark(
        name="mining",
        question="How long does mining 512 neurons over 60,000 inputs take?",
        quick="benchmarks/mining.py --seeds 1 --out {out}",
        full="benchmarks/mining.py --out {out}",
        cpu_seconds=(30, 80),
    ),
    Benchmark(
        name="scale",
        question="What do data larger than memory cost?",
        quick="benchmarks/scale.py --inputs 100000 --record-at-most 20000 --out {out}",
        full="benchmarks/scale.py --inputs 100000 1000000 10000000 --out {out}",
        cpu_seconds=(10, 1800),
    ),
    Benchmark(
        name="cost-curves",
        question="What do bounds and proofs cost by width, depth and batch?",
        quick=None,
        full="benchmarks/cost_curves.py --out {out}",
        cpu_seconds=(None, 900),
    ),
    Benchmark(
        name="own-networks",
        question="Which networks of people do the readers and commands take?",
        quick=None,
        full="-m benchmarks.own_networks --out docs/networks.md",
        cpu_seconds=(None, 1800),
    ),
)

# Files of benchmarks/ that are no benchmark of their own: parts of others, and what prints files.
PARTS = (
    "distillation_networks",
    "mixed_claims",
    "preconditions",
    "sampling",
    "soundness_extremes",
    "soundness_known",
    "trained_diagnosis",
    "trust_certificates",
    "trust_networks",
    "whole_space_cells",
    "whole_space_patterns",
)


def benchmark(name: str) -> Benchmark | None:
    return next((one for one in BENCHMARKS if one.name == name), None)
