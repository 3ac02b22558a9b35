"""Whether a model reads the question (Mudrakarta, Taly, Sundararajan, Dhamdhere 2018, "Did the
model understand the question?").

Five tests of a model that answers questions about tables.  Each changes a question so that one can
say what a model that reads it should do:

- *over-stability*: only the k words that are most often among the top by attribution stay, all
  others become padding.  Accuracy that is left with few words rests on these words alone;
- *subject ablation*: the subject becomes a word that names nobody.  An answer that stays as it was
  did not rest on the subject;
- *prefixes*: words without meaning stand before the question.  Nothing should change;
- *stop words* are taken out.  Nothing should change;
- *rows* of the table change places.  Nothing should change.

Attributions are those of the words' embeddings, summed over each word's numbers, for example by
integrated gradients from padding: ``word_attributions``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.diagnosis.generated_questions import (
    OTHER_WORDS,
    PAD,
    PREFIX,
    STOP_WORDS,
    SUBJECT,
    WORDS,
    Ints,
    Questions,
    word_numbers,
)
from attribution.training import TrainingSchedule, seeded, train
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Answer = Callable[[Questions], Ints]
"""What a model answers, one class for each question."""

PREFIXES = (("in", "total"), ("in", "the", "year"), ("of", "the", "team"))
TOP = 1
"""A word is on top of a question where it is among so many by attribution."""


@dataclass(frozen=True, kw_only=True)
class QuestionReport:
    """Accuracies and shares in [0, 1].  ``words``: most often on top first; ``alone``: accuracy
    with the first k of them left, for each (k, accuracy); ``subject_ignored``: share of the right
    answers that stay without the subject; ``prefixes``: accuracy after each prefix;
    ``all_prefixes``: share of the questions that are right after every one; ``without_stop_words``
    and ``rows_moved``: accuracies."""

    accuracy: float
    words: tuple[str, ...]
    alone: tuple[tuple[int, float], ...]
    subject_ignored: float
    prefixes: tuple[float, ...]
    all_prefixes: float
    without_stop_words: float
    rows_moved: float


def question_report(
    answer: Answer,
    questions: Questions,
    attributions: NDArray[np.floating],
    *,
    counts: Sequence[int] = (0, 1, 2, 4, 8),
    prefixes: Sequence[tuple[str, ...]] = PREFIXES,
    seed: int = 0,
) -> QuestionReport:
    """All five tests; ``attributions`` (N, LENGTH), one for each place of a question."""
    tokens = questions.tokens
    if attributions.shape != tokens.shape:
        raise DataError(
            "attributions of words", expected=str(tokens.shape), got=str(attributions.shape)
        )
    if any(len(words) > PREFIX for words in prefixes) or not prefixes:
        raise QueryError(
            "prefixes", expected=f"one or more, of up to {PREFIX} words", got=str(prefixes)
        )
    generator = np.random.default_rng(seed)
    right = answer(questions) == questions.answers
    order = _often_on_top(tokens, attributions)
    after = [_right(answer, questions, _with_prefix(tokens, words)) for words in prefixes]
    moved = generator.permuted(
        np.tile(np.arange(questions.names.shape[1]), (len(tokens), 1)), axis=1
    )
    again = questions.with_rows(moved)
    return QuestionReport(
        accuracy=float(right.mean()),
        words=tuple(WORDS[k] for k in order),
        alone=tuple(
            (k, float(_right(answer, questions, _only(tokens, order[:k])).mean())) for k in counts
        ),
        subject_ignored=_subject_ignored(answer, questions, right, generator=generator),
        prefixes=tuple(float(one.mean()) for one in after),
        all_prefixes=float(np.all(after, axis=0).mean()),
        without_stop_words=float(
            _right(answer, questions, _without(tokens, word_numbers(STOP_WORDS))).mean()
        ),
        rows_moved=float((answer(again) == again.answers).mean()),
    )


def _right(answer: Answer, questions: Questions, tokens: Ints) -> NDArray[np.bool_]:
    return np.asarray(answer(questions.with_tokens(tokens)) == questions.answers)


def _often_on_top(tokens: Ints, attributions: NDArray[np.floating]) -> Ints:
    """Numbers of all words that occur, most often on top first."""
    size = np.where(tokens == WORDS.index(PAD), -np.inf, np.abs(attributions))
    top = np.argsort(-size, axis=1, kind="stable")[:, :TOP]
    often = np.bincount(np.take_along_axis(tokens, top, 1).reshape(-1), minlength=len(WORDS))
    often[WORDS.index(PAD)] = -1
    occurs = np.isin(np.arange(len(WORDS)), tokens) & (often >= 0)
    order = np.argsort(-often, kind="stable")
    return np.asarray(order[occurs[order]], dtype=np.int64)


def _only(tokens: Ints, words: Ints) -> Ints:
    return np.where(np.isin(tokens, words), tokens, WORDS.index(PAD))


def _without(tokens: Ints, words: Ints) -> Ints:
    return np.where(np.isin(tokens, words), WORDS.index(PAD), tokens)


def _with_prefix(tokens: Ints, words: tuple[str, ...]) -> Ints:
    changed = tokens.copy()
    changed[:, PREFIX - len(words) : PREFIX] = word_numbers(words)
    return changed


def _subject_ignored(
    answer: Answer,
    questions: Questions,
    right: NDArray[np.bool_],
    generator: np.random.Generator,
) -> float:
    """Share of the right answers that stay when the subject is another word; 0 where none is
    right."""
    others = word_numbers(OTHER_WORDS)
    changed = questions.tokens.copy()
    changed[:, PREFIX + SUBJECT] = generator.choice(others, len(changed))
    same = answer(questions.with_tokens(changed)) == questions.answers
    return float(same[right].mean()) if right.any() else 0.0


class TableReader(nn.Module):
    """A small model of embeddings.  The mean embedding of the question's words looks for a row by
    the likeness of its name, and each row's place may count too; the answer is scored by the
    numbers of the rows looked at and by the question's words."""

    def __init__(self, rows: int, classes: int, size: int = 24) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), size, padding_idx=WORDS.index(PAD))
        self.names = nn.Embedding(len(WORDS), size)
        self.numbers = nn.Embedding(classes, classes)
        self.places = nn.Parameter(torch.zeros(rows))
        self.direct = nn.Linear(size, classes)

    def forward(self, tokens: Tensor, names: Tensor, numbers: Tensor) -> Tensor:
        question = self.words(tokens).mean(1)
        likeness = (self.names(names) * question[:, None]).sum(2) + self.places
        looked = torch.softmax(likeness, 1)[:, :, None] * self.numbers(numbers)
        answer: Tensor = looked.sum(1) + self.direct(question)
        return answer


def train_reader(questions: Questions, training: TrainingSchedule | None = None) -> TableReader:
    """A ``TableReader`` trained on ``questions``."""
    training = training or TrainingSchedule(epochs=40, rate=1e-2, batch=128)
    rows, classes = questions.names.shape[1], int(questions.numbers.max()) + 1
    module = seeded(lambda: TableReader(rows, classes), training.seed)
    given = tensors(questions)
    labels = torch.as_tensor(questions.answers)

    def loss(chosen: Tensor) -> Tensor:
        return nn.functional.cross_entropy(module(*(one[chosen] for one in given)), labels[chosen])

    train(module.parameters(), len(labels), loss, training=training)
    assert isinstance(module, TableReader)
    return module.eval()


def tensors(questions: Questions) -> tuple[Tensor, Tensor, Tensor]:
    """Words, names and numbers, as ``TableReader`` takes them."""
    tokens, names, numbers = (
        torch.as_tensor(part) for part in (questions.tokens, questions.names, questions.numbers)
    )
    return tokens, names, numbers


def reader_answers(module: TableReader) -> Answer:
    """The classes that the model answers."""

    def answer(questions: Questions) -> Ints:
        with torch.no_grad():
            return np.asarray(module(*tensors(questions)).argmax(1).numpy())

    return answer


def word_attributions(module: TableReader, questions: Questions, *, steps: int = 32) -> Array:
    """Integrated gradients of the answer given, from padding to the words, (N, LENGTH)."""
    from attribution.methods.integrated import integrated_gradients
    from attribution.quantities import class_score
    from attribution.slices import Slice

    found = integrated_gradients(
        Slice(module, "words"),
        tensors(questions),
        quantity=class_score(reader_answers(module)(questions)),
        steps=steps,
    )
    return np.asarray(found.parts[0].sum(-1), dtype=np.float64)
