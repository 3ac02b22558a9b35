"""What others published, the benchmark that measures it here, and why the two differ.

A figure *here* is read from the record of a run; where there is none yet, the page names the
command.  A row without a benchmark says why the figure is not had, and the nearest that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.registry import EXPERTS, Figure, Size, Unit

Measured = tuple[str, Size, "Figure | None"]  # without a figure, what the run prints


@dataclass(frozen=True, kw_only=True)
class Replication:
    """``measured``: benchmark, size and figure; None where there is no benchmark for it."""

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

REPLICATIONS = (
    Replication(
        study=PROPERTIES,
        what="layer rules from decision trees, and their proofs",
        published="rules counted, some proved by Marabou",
        measured=("alarm", Size.FULL, Figure("rules", ("rules",))),
        why="rules of digits-mlp proved for every input; their networks are not had here",
    ),
    Replication(
        study=PROPERTIES,
        what="input preconditions of a 10 × 10 network (accuracy .933)",
        published="17 patterns of 11 to 93 neurons",
        measured=None,
        why="their network is not had here; mnist-10x10 has its shape: docs/measured.md has 30 "
        "proved over the whole box of the data, from a run that wrote no record",
    ),
    Replication(
        study=PROPERTIES,
        what="input preconditions of ACAS Xu, one proof a neuron beside ours",
        published="one proof for each layer and neuron",
        measured=("relaxation-acas", Size.QUICK, None),
        why="same networks; the run prints proofs and seconds of both",
    ),
    Replication(
        study=PROPERTIES,
        what="under-approximation boxes",
        published="boxes drawn as lowest and highest picture",
        measured=None,
        why="pictures, no number to compare; every report draws such boxes, proved to lie inside",
    ),
    Replication(
        study=PROPERTIES,
        what="selective distillation after the first max-pool",
        published="accuracy .9943 → .9903, 6.8 % less time",
        measured=("distillation", Size.FULL, None),
        why="another network; docs/uses-distill-monitor.md has the table of an earlier run",
    ),
    Replication(
        study=PROPERTIES,
        what="proofs decomposed at a layer pattern, ACAS Xu",
        published="faster than the direct proof on some queries",
        measured=("decomposition", Size.QUICK, None),
        why="one query that holds; docs/uses-decompose.md has the table of eight",
    ),
    Replication(
        study=PROPERTIES,
        what="clusters by shared rules",
        published="no number",
        measured=None,
        why="precond cluster prints purity for any data; there is no figure to compare with",
    ),
    Replication(
        study=PROPERTIES,
        what="adversarial examples from refuted proofs, retraining",
        published="examples shown",
        measured=("adversarial", Size.FULL, None),
        why="here with accuracy before and after, beside a control",
    ),
    Replication(
        study=PROPHECY,
        what="largest rule a label, 288,165 ACAS rows, one layer",
        published="26.7 s; supports 28674, 48, 39, 244, 150",
        measured=("mining", Size.QUICK, Figure("", ("results", 0, "seconds"), Unit.SECONDS)),
        why="their rows are not had here; these are 60,000 pictures, 512 neurons, ten classes",
    ),
    Replication(
        study="Geng et al. 2023 (activation patterns as specifications)",
        what="share of MNIST that proved patterns hold for, mnist-net_256x4",
        published="84 %",
        measured=("alarm-256x4", Size.FULL, INSIDE),
        why="same network; 1,000 held-out digits of mnist-5k, patterns over all of [0, 1]^784",
    ),
    Replication(
        study="Sundararajan, Taly, Yan 2017 (integrated gradients)",
        what="completeness error of 300 steps, and of exact integration",
        published="axiom: 0",
        measured=("attribution", Size.QUICK, None),
        why="the run prints errors and distances, beside Captum",
    ),
    Replication(
        study="Sundararajan, Taly, Yan 2017",
        what="clipping attributions at the 99th percentile for display",
        published="a choice of display",
        measured=None,
        why="no number; precond explain draws the scale it uses",
    ),
    Replication(
        study="over-stability (attack studies of question answering)",
        what="answers unchanged although the question lost its meaning",
        published="shares by data set",
        measured=None,
        why="needs language models, which are no ReLU networks; no near one is had",
    ),
    Replication(
        study=INFLUENCE,
        what="class experts: recall with the most influential units alone",
        published=".14 → .71, .62 → .92, .52 → .71, .36 → .75, .65 → .95",
        measured=("experts", Size.QUICK, Figure("mnist-mlp relu3", EXPERTS, Unit.NUMBER)),
        why="their networks and data are not had here; the run prints six layers of networks in "
        "models/, by influence, by activation and at random",
    ),
    Replication(
        study=INFLUENCE,
        what="removal curves: influence of a class generalises to its instances",
        published="curves",
        measured=None,
        why="no number; attribution/uses draws the curves for any network",
    ),
    Replication(
        study=INFLUENCE,
        what="influence profiles of right and wrong predictions; comparative explanations",
        published="pictures",
        measured=("debug", Size.QUICK, Figure("", ("causes", 0, "all"), Unit.PERCENT)),
        why="here the share of mnist-mlp's errors that causes explain, found on one half",
    ),
    Replication(
        study="VeriX+ (2024), FAME (2026)",
        what="sizes of sufficient feature sets on MNIST",
        published="180 to 338 features, 14 to 185 s; 113 to 333, 9 to 138 s",
        measured=None,
        why="`make bench NAME=sufficient` prints sizes and seconds; an earlier run "
        "on the public VeriX network is in docs/uses-sufficient.md",
    ),
    Replication(
        study="Kim et al. 2018 (TCAV), Bau et al. 2017, Ortiz-Jimenez et al. 2020 and others",
        what="the concept and diagnosis tables",
        published="by method, in the printed table",
        measured=("concepts", Size.QUICK, None),
        why="the quick run prints margins, published and own; SIZE=full prints all methods",
    ),
    Replication(
        study="VNN-COMP 2021 to 2025",
        what="ACAS Xu, all queries",
        published="nnenum 186 of 186 in 415 s (2025, cloud machines)",
        measured=("acasxu-all", Size.FULL, None),
        why="here properties 1 to 4 on 45 networks, without the start of processes",
    ),
    Replication(
        study="No Soundness in the Real World (2025)",
        what="verdicts that are wrong, on random small networks",
        published="every verifier tested is fooled by some network",
        measured=("soundness", Size.QUICK, WRONG),
        why="their networks are not used; ours are random, a quarter with limits within rounding",
    ),
)
