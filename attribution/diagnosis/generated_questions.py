"""Questions about small tables, with shortcuts that are known because they were planted.

A table has rows of a name, a place and a number.  A question asks for the number of a name
("how many points did NAME get"), in words with and without meaning; the answer is that number.
Two shortcuts stand in the data, in a share of the questions that can be set:

- **word**: the word that says what is counted gives the answer away (``goals`` goes with 0, …);
- **row**: the right row is the first one.

A network that was trained on such data may read the shortcut and not the table.  With the share 0
there is no shortcut; then the answer needs the name and the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError

Ints = NDArray[np.int64]

NAMES = ("anna", "boris", "clara", "david", "elena", "felix", "greta", "hugo")
COUNTED = ("goals", "points", "medals", "wins")
STOP_WORDS = ("how", "many", "did", "the", "in", "of")
OTHER_WORDS = ("get", "reach", "season", "year", "total", "team")
PAD = "·"
WORDS = (PAD, *NAMES, *COUNTED, *STOP_WORDS, *OTHER_WORDS)
"""All words; a word's number is its place here."""
SUBJECT = 4
COUNT_WORD = 2
LENGTH = 12
"""Places of a question; prefixes and the end are padding."""
PREFIX = 3
"""Places before a question that are padding, for words put before it."""


@dataclass(frozen=True, eq=False)
class Questions:
    """``tokens`` (N, LENGTH): numbers of words; ``names`` (N, R) and ``numbers`` (N, R): the table,
    row by row; ``answers`` (N,): a number in the row of the name."""

    tokens: Ints
    names: Ints
    numbers: Ints
    answers: Ints

    def with_tokens(self, tokens: Ints) -> Questions:
        return Questions(tokens, self.names, self.numbers, answers=self.answers)

    def with_rows(self, order: Ints) -> Questions:
        """The rows of each table in another ``order`` (N, R)."""
        names, numbers = (np.take_along_axis(part, order, 1) for part in (self.names, self.numbers))
        return Questions(self.tokens, names, numbers, answers=self.answers)

    def words(self, row: int) -> str:
        """One question as text."""
        return " ".join(WORDS[k] for k in self.tokens[row] if WORDS[k] != PAD)


def word_numbers(words: tuple[str, ...]) -> Ints:
    """Numbers of words."""
    unknown = [word for word in words if word not in WORDS]
    if unknown:
        raise QueryError("words", expected="words of the questions", got=", ".join(unknown))
    return np.array([WORDS.index(word) for word in words], dtype=np.int64)


def generated_questions(
    count: int, *, rows: int = 4, by_word: float = 0.0, by_row: float = 0.0, seed: int = 0
) -> Questions:
    """``count`` questions about tables of ``rows`` rows; numbers are 0 to 3.  ``by_word`` and
    ``by_row``: shares of the questions with each shortcut, the rest is left to chance."""
    shares = (by_word, by_row)
    if count < 1 or not 2 <= rows <= len(NAMES) or min(shares) < 0 or max(shares) > 1:
        raise QueryError(
            "generated questions",
            expected=f"1 or more, 2 to {len(NAMES)} rows, shares from 0 to 1",
            got=f"{count}, {rows} and {shares}",
        )
    generator = np.random.default_rng(seed)
    first = WORDS.index(NAMES[0])
    names = first + np.stack([generator.permutation(len(NAMES))[:rows] for _ in range(count)])
    numbers = generator.integers(len(COUNTED), size=(count, rows))
    chosen = generator.integers(rows, size=count)
    chosen = np.where(generator.uniform(size=count) < by_row, 0, chosen)
    each = np.arange(count)
    answers = numbers[each, chosen]
    counted = generator.integers(len(COUNTED), size=count)
    counted = np.where(generator.uniform(size=count) < by_word, answers, counted)
    tokens = np.full((count, LENGTH), WORDS.index(PAD))
    sentence = ("how", "many", COUNTED[0], "did", NAMES[0], "get", "in", "the", "season")
    tokens[:, PREFIX:] = word_numbers(sentence)
    tokens[:, PREFIX + COUNT_WORD] = WORDS.index(COUNTED[0]) + counted
    tokens[:, PREFIX + SUBJECT] = names[each, chosen]
    return Questions(tokens, names, numbers, answers=answers)
