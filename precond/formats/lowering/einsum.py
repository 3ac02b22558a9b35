"""Sums of products with one computed operand, in Einstein's notation, as affine layers.

``einsum`` lines the operands up along all letters, multiplies by the constants and sums over
the letters that the result lacks.  Products of two computed operands are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.basic import Operand, linear, multiply, reduce
from precond.formats.lowering.builder import NetworkBuilder, Value, check_size, constant_array
from precond.formats.lowering.moves import expand, reshape, transpose
from precond.network.layers import Array


def einsum(b: NetworkBuilder, equation: str, operands: Sequence[Operand]) -> Value:
    """``numpy.einsum`` where exactly one operand is computed."""
    terms, result = _parsed(equation, operands)
    computed = [i for i, operand in enumerate(operands) if isinstance(operand, Value)]
    if len(operands) > 2:
        raise ModelError("einsum", expected="one or two operands", got=str(len(operands)))
    if len(computed) != 1:
        raise ModelError(
            "einsum", expected="one computed operand", got=f"{len(computed)} that are multiplied"
        )
    number = computed[0]
    value = operands[number]
    assert isinstance(value, Value)
    own = terms[number]
    sizes = dict(zip(own, value.full, strict=True))
    letters, factor = "", np.ones(())
    for term, operand in zip(terms, operands, strict=True):
        if isinstance(operand, np.ndarray):
            letters, factor = term, constant_array(operand)
    lengths: tuple[int, ...] = factor.shape
    for letter, size in zip(letters, lengths, strict=True):
        if sizes.setdefault(letter, size) != size:
            raise ModelError("einsum", expected=f"{sizes[letter]} at {letter}", got=str(size))
    if _is_matrix_product(own, letters, result):
        return _matrix_product(
            b, value, own, factor=factor, letters=letters, result=result, sizes=sizes
        )
    every = own + "".join(c for c in letters if c not in own)
    check_size([sizes[c] for c in every])
    wide = reshape(b, value, [*value.full, *[1] * (len(every) - len(own))])
    wide = expand(b, wide, tuple(sizes[c] for c in every))
    aligned = factor.transpose([letters.index(c) for c in every if c in letters])
    shape = [sizes[c] if c in letters else 1 for c in every]
    summed = [i for i, c in enumerate(every) if c not in result]
    product = reduce(
        b, multiply(b, wide, aligned.reshape(shape)), summed, keepdims=False, mean=False
    )
    kept = [c for c in every if c in result]
    return transpose(b, product, [kept.index(c) for c in result])


def _is_matrix_product(own: str, letters: str, result: str) -> bool:
    """No letter of both operands is kept: rows times a matrix."""
    return not any(c in own and c in result for c in letters) and any(c in own for c in letters)


def _matrix_product(
    b: NetworkBuilder,
    value: Value,
    own: str,
    factor: Array,
    letters: str,
    result: str,
    sizes: dict[str, int],
) -> Value:
    summed = [c for c in own if c in letters]
    kept = [c for c in own if c not in letters]
    if any(c not in result for c in kept):
        value = reduce(
            b, value, [own.index(c) for c in kept if c not in result], keepdims=False, mean=False
        )
        own = "".join(c for c in own if c in letters or c in result)
        kept = [c for c in kept if c in result]
    new = [c for c in letters if c not in own]
    rows = transpose(b, value, [own.index(c) for c in (*kept, *summed)])
    count = int(np.prod([sizes[c] for c in summed]))
    rows = reshape(b, rows, [*(sizes[c] for c in kept), count])
    order = [letters.index(c) for c in (*new, *summed)]
    product = linear(b, rows, factor.transpose(order).reshape(-1, count))
    split = reshape(b, product, [sizes[c] for c in (*kept, *new)])
    return transpose(b, split, [(*kept, *new).index(c) for c in result])


def _parsed(equation: str, operands: Sequence[Operand]) -> tuple[list[str], str]:
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = left.replace(",", "")
        result = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    ranks = [len(o.full) if isinstance(o, Value) else np.ndim(o) for o in operands]
    twice = any(len(set(term)) < len(term) for term in (*terms, result))
    plain = not twice and all(c.isalpha() for c in (*left.replace(",", ""), *result))
    if not plain or [len(term) for term in terms] != ranks:
        raise ModelError("einsum", expected="one letter for each axis", got=equation)
    return terms, result
