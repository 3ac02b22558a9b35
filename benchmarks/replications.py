"""What others published, the benchmark that measures it here, and why the two differ.

A figure *here* is read from the record of a run; where there is none yet, the page names the
command.  A row without a benchmark says why the figure is not had, and the nearest that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.registry import WEAK_CLASSES, Figure, Place, Size, Unit

Measured = tuple[str, Size, tuple[Figure, ...]]  # without figures, what the run prints


@dataclass(frozen=True, kw_only=True)
class Replication:
    """``measured``: benchmark, size and figures; None where there is no benchmark for it."""

    study: str
    what: str
    published: str
    measured: Measured | None
    why: str


PROPERTIES = "Gopinath, Converse, Pasareanu, Taly 2019"
PROPHECY = "Prophecy (tool of the 2019 study)"
INFLUENCE = "Leino, Sen, Datta, Fredrikson, Li 2018"
INSIDE = Figure("share inside", ("inside", "share"), Unit.PERCENT)
WRONG = Figure("wrong verdicts", ("wrong",), Unit.LENGTH)


def figures(unit: Unit, *named: tuple[str, Place]) -> tuple[Figure, ...]:
    """Figures of one unit."""
    return tuple(Figure(f"{what}:", place, unit) for what, place in named)


def removal(network: str, place: str, method: str, whose: str) -> Place:
    return ("removal", network, "places", place, method, whose)


REPLICATIONS = (
    Replication(
        study=PROPERTIES,
        what="layer rules from decision trees, and their proofs",
        published="rules counted, some proved by Marabou",
        measured=("alarm", Size.FULL, figures(Unit.COUNT, ("rules", ("rules",)))),
        why="rules of digits-mlp proved for every input; their networks are not had here",
    ),
    Replication(
        study=PROPERTIES,
        what="input preconditions of a 10 × 10 network (accuracy .933)",
        published="17 patterns of 11 to 93 neurons",
        measured=(
            "input-preconditions",
            Size.FULL,
            figures(
                Unit.COUNT,
                ("digits", ("inputs",)),
                ("patterns", ("proved",)),
                ("fewest neurons", ("fewest",)),
                ("most", ("most",)),
                ("patterns in balls", ("near", "proved")),
                ("fewest neurons there", ("near", "fewest")),
                ("most there", ("near", "most")),
            ),
        ),
        why="their network is not had here; mnist-10x10 has its shape. Over all "
        "of [0, 1]^784 nearly every neuron is needed, and of the other digits not even all 100 "
        "imply the class, as a counterexample shows; in balls of radius 0.05 fewer are needed",
    ),
    Replication(
        study=PROPERTIES,
        what="input preconditions of ACAS Xu, one proof a neuron beside ours",
        published="one proof for each layer and neuron",
        measured=(
            "relaxation-acas",
            Size.QUICK,
            figures(
                Unit.COUNT,
                ("neurons of the first input's pattern, ours", ("rows", 0, "ours", "literals")),
                ("one proof a neuron", ("rows", 0, "textbook", "literals")),
                ("proofs, ours", ("rows", 0, "ours", "proofs")),
                ("one proof a neuron", ("rows", 0, "textbook", "proofs")),
            ),
        ),
        why="same networks; two inputs, and the time of one proof a neuron ran out, so that its "
        "pattern is not at its end and its proofs are a lower bound",
    ),
    Replication(
        study=PROPERTIES,
        what="under-approximation boxes",
        published="boxes drawn as lowest and highest picture; no number",
        measured=(
            "input-preconditions",
            Size.FULL,
            (
                *figures(
                    Unit.COUNT,
                    ("boxes", ("boxes",)),
                    ("imply the class alone", ("boxes_proved_alone",)),
                    ("pixels that vary", ("wide_pixels",)),
                ),
                *figures(
                    Unit.NUMBER,
                    ("median side", ("median_side",)),
                    ("longest side", ("longest_side",)),
                ),
            ),
        ),
        why="of the patterns in the row above, one box each; every one is shown to lie inside its "
        "pattern by bounds. Pixels: the median of boxes, of 784; sides: of the range [0, 1]",
    ),
    Replication(
        study=PROPERTIES,
        what="selective distillation after the first max-pool",
        published="accuracy .9943 → .9903, 6.8 % less time",
        measured=(
            "distillation-small",
            Size.FULL,
            (
                Figure("accuracy", ("mnist-5k", "accuracy", "plain"), Unit.PERCENT),
                Figure("with the fast path", ("mnist-5k", "accuracy", "fast"), Unit.PERCENT),
                Figure("faster at batch 64:", ("mnist-5k", "times_faster", "64"), Unit.TIMES),
            ),
        ),
        why="another network (8 layers, mnist-5k), ours with votes of learned exits and a promised "
        "loss, trained shortly; docs/uses-distill-monitor.md has the long training",
    ),
    Replication(
        study=PROPERTIES,
        what="proofs decomposed at a layer pattern, ACAS Xu",
        published="faster than the direct proof on some queries",
        measured=(
            "decomposition",
            Size.QUICK,
            figures(
                Unit.SECONDS,
                ("through a layer", ("queries", 0, "everything_cpu")),
                ("direct", ("queries", 0, "direct_cpu")),
            ),
        ),
        why="one query that holds; docs/uses-decompose.md has the table of eight",
    ),
    Replication(
        study=PROPERTIES,
        what="clusters by shared rules",
        published="pictures of clusters; no number",
        measured=(
            "clusters",
            Size.FULL,
            (
                *figures(
                    Unit.PERCENT,
                    ("purity on held-out digits", ("mnist-mlp", "rules", "held_out_purity")),
                    ("of k-means", ("mnist-mlp", "k-means of activations", "held_out_purity")),
                ),
                *figures(
                    Unit.NUMBER,
                    ("silhouette", ("mnist-mlp", "rules", "silhouette_activations")),
                    (
                        "of k-means",
                        ("mnist-mlp", "k-means of activations", "silhouette_activations"),
                    ),
                ),
            ),
        ),
        why="ours: mnist-mlp, rules of its last hidden layer, beside as many clusters of the same "
        "layer's activations. Rules group digits by class, not by distance",
    ),
    Replication(
        study=PROPERTIES,
        what="adversarial examples from refuted proofs, retraining",
        published="examples shown",
        measured=(
            "adversarial",
            Size.FULL,
            figures(
                Unit.PERCENT,
                ("accuracy under attack before", (0, "before", "attacked")),
                ("after", (0, "after", "attacked")),
                ("control", (0, "control", "attacked")),
            ),
        ),
        why="ours: the smallest of three radii; the control is retrained without the examples",
    ),
    Replication(
        study=PROPHECY,
        what="largest rule a label, 288,165 ACAS rows, one layer",
        published="26.7 s; supports 28674, 48, 39, 244, 150",
        measured=(
            "mining",
            Size.QUICK,
            (Figure("", ("results", 0, "seconds"), Unit.SECONDS),),
        ),
        why="their rows are not had here; these are 60,000 pictures, 512 neurons, ten classes",
    ),
    Replication(
        study="Geng et al. 2023 (activation patterns as specifications)",
        what="share of MNIST that proved patterns hold for, mnist-net_256x4",
        published="84 %",
        measured=("alarm-256x4", Size.FULL, (INSIDE,)),
        why="same network; 1,000 held-out digits of mnist-5k, patterns over all of [0, 1]^784",
    ),
    Replication(
        study="Sundararajan, Taly, Yan 2017 (integrated gradients)",
        what="completeness error of 300 steps, and of exact integration",
        published="axiom: 0",
        measured=("attribution", Size.QUICK, ()),
        why="the run prints errors and distances, beside Captum",
    ),
    Replication(
        study="Sundararajan, Taly, Yan 2017",
        what="clipping attributions at the 99th percentile for display",
        published="a choice of display; no number",
        measured=(
            "clipping",
            Size.FULL,
            (
                *figures(
                    Unit.PERCENT,
                    ("sum of magnitudes that stays", ("mnist-cnn", "percentile", "mass")),
                ),
                *figures(
                    Unit.COUNT,
                    ("pixels seen before", ("mnist-cnn", "percentile", "visible_before")),
                    ("after", ("mnist-cnn", "percentile", "visible")),
                ),
            ),
        ),
        why="ours: mnist-cnn, means over 200 held-out digits; seen is a tenth of full strength",
    ),
    Replication(
        study="Mudrakarta, Taly, Sundararajan, Dhamdhere 2018 (over-stability)",
        what="accuracy of question answering under attacks that attributions suggest",
        published="61.1 → 19 % about pictures, 33.5 → 3.3 % about tables",
        measured=(
            "over-stability",
            Size.FULL,
            figures(
                Unit.PERCENT,
                ("right", ("word", "accuracy")),
                ("where the shortcut is gone", ("word", "without_shortcut")),
                ("with four words left", ("word", "alone", "4")),
                ("right answers that stay without the subject", ("word", "subject_ignored")),
            ),
        ),
        why="their models and data are not had here; ours reads generated tables, with a planted "
        "word that tells the answer, and the attack is to take that away. By chance: 25 %",
    ),
    Replication(
        study=INFLUENCE,
        what="class experts: recall of a class, of the network → of its expert, five classes",
        published=".14 → .71, .62 → .92, .52 → .71, .36 → .75, .65 → .95",
        measured=(
            "influence",
            Size.FULL,
            figures(
                Unit.NUMBER,
                ("recall", (*WEAK_CLASSES, "recall")),
                ("recall of experts", (*WEAK_CLASSES, "expert_recall")),
                ("precision", (*WEAK_CLASSES, "precision")),
                ("precision of experts", (*WEAK_CLASSES, "expert_precision")),
            ),
        ),
        why="ours: means over the five classes that a shortly trained network of clothes finds "
        "least often in training. Recall rises at the cost of precision, of which we know no "
        "published figure; theirs are classes of ImageNet, which leave more room",
    ),
    Replication(
        study=INFLUENCE,
        what="removal curves: influence of a class generalises to its instances",
        published="curves; no number",
        measured=(
            "influence",
            Size.FULL,
            figures(
                Unit.NUMBER,
                (
                    "influence inside by own ranking",
                    removal("fashion-cnn", "relu3", "influence", "own"),
                ),
                ("by the class ranking", removal("fashion-cnn", "relu3", "influence", "class")),
                (
                    "gradients of pixels by own",
                    removal("fashion-cnn", "pixels", "integrated gradients", "own"),
                ),
                ("by the class", removal("fashion-cnn", "pixels", "integrated gradients", "class")),
            ),
        ),
        why="ours: areas under the score of held-out clothes, lower is better, below 0 where other "
        "classes win. By influence inside, the class's ranking does as well as an input's own; by "
        "gradients of pixels it does worse, as claimed. The record has both methods at both places "
        "and a second network: at pixels both methods lose something, inside next to nothing, so "
        "that the gap is one of places more than of methods",
    ),
    Replication(
        study=INFLUENCE,
        what="influence profiles of right and wrong predictions",
        published="pictures; no number",
        measured=(
            "influence",
            Size.FULL,
            figures(
                Unit.NUMBER,
                ("AUROC of the distance", ("profiles", "mnist-cnn", "cosine")),
                ("of softmax", ("profiles", "mnist-cnn", "softmax")),
            ),
        ),
        why="how well a distance from the class's profile tells wrong predictions of mnist-cnn "
        "from right ones. Softmax tells them better",
    ),
    Replication(
        study=INFLUENCE,
        what='comparative explanations: "why a, not b"',
        published="pictures; no number",
        measured=(
            "influence",
            Size.FULL,
            figures(
                Unit.PERCENT,
                (
                    "b is said without the units for a over b",
                    ("compared", "fashion-cnn", "a and not b"),
                ),
                ("without those for a", ("compared", "fashion-cnn", "a alone")),
                ("without any", ("compared", "fashion-cnn", "random")),
            ),
        ),
        why="a tenth of a layer's units is removed, the most influential for each quantity; b is "
        "the class in second place; held-out clothes that are predicted right",
    ),
    Replication(
        study="VeriX+ (2024), FAME (2026)",
        what="sizes of sufficient feature sets on MNIST",
        published="180 to 338 features, 14 to 185 s; 113 to 333, 9 to 138 s",
        measured=(
            "sufficient-verix",
            Size.FULL,
            (
                *figures(
                    Unit.COUNT,
                    ("pixels on average", ("ways", "ours", "size")),
                    ("fewest", ("ways", "ours", "fewest")),
                    ("most", ("ways", "ours", "most")),
                ),
                *figures(Unit.SECONDS, ("on average", ("ways", "ours", "seconds"))),
            ),
        ),
        why="their network mnist-10x2, radius 0.05, 20 digits of ours; theirs are several "
        "networks, other digits and other machines",
    ),
    Replication(
        study="Kim et al. 2018 (TCAV), Bau et al. 2017, Ortiz-Jimenez et al. 2020 and others",
        what="the concept and diagnosis tables",
        published="by method, in the printed table",
        measured=("concepts", Size.QUICK, ()),
        why="the quick run prints margins, published and own; SIZE=full prints all methods",
    ),
    Replication(
        study="VNN-COMP 2021 to 2025",
        what="ACAS Xu, all queries",
        published="nnenum 186 of 186 in 415 s (2025, cloud machines)",
        measured=(
            "acasxu-all",
            Size.FULL,
            (
                *figures(
                    Unit.COUNT,
                    ("decided", ("summary", "precond", "decided")),
                    ("of", ("summary", "precond", "instances")),
                ),
                *figures(Unit.SECONDS, ("in all", ("summary", "precond", "total_seconds"))),
            ),
        ),
        why="here properties 1 to 4 on 45 networks, without the start of processes",
    ),
    Replication(
        study="No Soundness in the Real World (2025)",
        what="verdicts that are wrong, on random small networks",
        published="every verifier tested is fooled by some network",
        measured=("soundness", Size.QUICK, (WRONG,)),
        why="their networks are not used; ours are random, a quarter with limits within rounding",
    ),
)
