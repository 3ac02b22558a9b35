"""Why an operator cannot be read, by its name in ONNX or torch, and what the user can do.

A network here is piecewise linear and continuous over the reals, since that is what proofs
decide.  What is neither is refused with the reason.
"""

from __future__ import annotations

from precond.errors import UnsupportedOperator

SMOOTH = frozenset(
    (
        *("sigmoid", "tanh", "gelu", "silu", "swish", "elu", "selu", "celu", "softplus", "mish"),
        *("softsign", "hardswish", "erf", "exp", "log", "sqrt", "rsqrt", "reciprocal", "pow"),
        *("square", "sin", "cos", "tan", "sinh", "cosh", "asin", "acos", "atan", "logsigmoid"),
        *("log2", "log1p", "expm1", "lpnormalization", "instancenormalization", "layernorm"),
        *("layernormalization", "groupnormalization", "groupnorm", "nativelayernorm", "reducel2"),
        *("instancenorm", "rmsnorm", "rmsnormalization", "scaleddotproductattention", "attention"),
        *("multiheadattention", "glu"),
        *("lrn", "norm", "linalgvectornorm", "reduceprod", "reducelogsumexp", "logsumexp"),
    )
)
JUMPS = frozenset(
    (
        *("sign", "sgn", "floor", "ceil", "round", "trunc", "heaviside", "equal", "eq", "greater"),
        *(
            "gt",
            "ge",
            "less",
            "lt",
            "le",
            "ne",
            "greaterorequal",
            "lessorequal",
            "argmax",
            "argmin",
        ),
        *("hardmax", "thresholdedrelu", "mod", "topk", "not", "and", "or", "hardshrink"),
    )
)
ROUNDED = frozenset(
    (
        *("quantizelinear", "dequantizelinear", "dynamicquantizelinear", "qlinearconv"),
        *("qlinearmatmul", "convinteger", "matmulinteger", "quantizepertensor", "dequantize"),
    )
)
REMEDY = (
    "Attributions work on the torch module as it is; for proofs train with ReLU, or distil into a "
    "ReLU network"
)
"""What still works, and what would, where something inside a network is not piecewise linear."""
BRANCHES = frozenset(("if", "loop", "scan", "cond", "whileloop"))
RECURRENT = frozenset(("lstm", "gru", "rnn"))


def refused(name: str, known: str, fix: str) -> UnsupportedOperator:
    """The error for an operator that is not read; ``known`` lists those that are."""
    plain = name.rpartition("::")[2].replace("_", "").lower()
    if plain in SMOOTH:
        return UnsupportedOperator(
            f"{name} of a computed value is not piecewise linear, which proofs need",
            fix=REMEDY,
        )
    if plain in JUMPS:
        return UnsupportedOperator(
            f"{name} of a computed value jumps, and proofs are about continuous networks",
            fix="Let the network end before it, or train without it",
        )
    if plain in ROUNDED:
        return UnsupportedOperator(
            f"{name} rounds computed values, and proofs are about real arithmetic",
            fix="Export the model before it is quantised",
        )
    if plain in BRANCHES:
        return UnsupportedOperator(
            f"{name} chooses by computed values what is run",
            fix="Export the model without control flow",
        )
    if plain in RECURRENT:
        return UnsupportedOperator(
            f"{name} multiplies computed values", fix="Only feed-forward networks can be read"
        )
    return UnsupportedOperator(
        "an operator of computed values", expected=f"one of {known}", got=name, fix=fix
    )
