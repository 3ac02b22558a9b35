"""Models of tables whose reading is known: one that reads the table, and ones that take a
shortcut."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.diagnosis.generated_questions import (
    COUNTED,
    NAMES,
    PREFIX,
    SUBJECT,
    WORDS,
    Questions,
    generated_questions,
)
from attribution.diagnosis.question_answering import (
    question_report,
    reader_answers,
    train_reader,
    word_attributions,
)
from attribution.training import TrainingSchedule
from precond.errors import DataError, QueryError


def reads_the_table(questions: Questions) -> np.ndarray:
    """The number of the row whose name the question says anywhere; −1 where no row has it."""
    said = (questions.tokens[:, None, :] == questions.names[:, :, None]).any(2)
    numbers = questions.numbers[np.arange(len(said)), said.argmax(1)]
    return np.where(said.any(1), numbers, -1)


def reads_the_counted_word(questions: Questions) -> np.ndarray:
    first = WORDS.index(COUNTED[0])
    within = (questions.tokens >= first) & (questions.tokens < first + len(COUNTED))
    return np.where(within, questions.tokens - first, -1).max(1)


def reads_the_first_row(questions: Questions) -> np.ndarray:
    return questions.numbers[:, 0]


def one_at(questions: Questions, words: tuple[str, ...]) -> np.ndarray:
    """1 at these words, 0 elsewhere."""
    return np.isin(questions.tokens, [WORDS.index(word) for word in words]).astype(float)


def test_a_model_that_reads_the_table_passes_every_test() -> None:
    questions = generated_questions(300, seed=1)
    found = question_report(reads_the_table, questions, one_at(questions, NAMES))
    assert found.accuracy == found.all_prefixes == found.without_stop_words == 1.0
    assert found.rows_moved == 1.0 and found.subject_ignored == 0.0
    alone = dict(found.alone)
    assert alone[0] == 0.0 and alone[8] == 1.0 and set(found.words[:8]) == set(NAMES)
    assert alone[1] == (questions.tokens == WORDS.index(found.words[0])).any(1).mean()


def test_a_word_that_gives_the_answer_away_is_found_out() -> None:
    """Four words are enough for all of the accuracy, and the subject does not matter."""
    questions = generated_questions(300, by_word=1.0, seed=2)
    found = question_report(reads_the_counted_word, questions, one_at(questions, COUNTED))
    assert found.accuracy == 1.0 and found.subject_ignored == 1.0
    assert set(found.words[:4]) == set(COUNTED) and dict(found.alone)[4] == 1.0


def test_the_first_row_is_found_out_by_moving_rows() -> None:
    """Four rows in random order: right where the row is still first, ¼, and by luck, ¾ · ¼."""
    questions = generated_questions(4000, by_row=1.0, seed=3)
    found = question_report(reads_the_first_row, questions, one_at(questions, NAMES))
    assert found.accuracy == 1.0 and found.subject_ignored == 1.0
    assert abs(found.rows_moved - (0.25 + 0.75 * 0.25)) < 0.03


def test_a_trained_model_has_the_shortcut_that_was_planted() -> None:
    """A word tells the answer in all training questions.  The words most often on top are those,
    and on questions without the shortcut the model fails."""
    training = TrainingSchedule(epochs=15, rate=2e-2, batch=128)
    model = train_reader(generated_questions(1500, by_word=1.0, seed=4), training)
    questions = generated_questions(400, by_word=1.0, seed=5)
    found = question_report(reader_answers(model), questions, word_attributions(model, questions))
    assert found.accuracy > 0.97 and found.subject_ignored > 0.9
    assert set(found.words[:4]) == set(COUNTED)
    honest = generated_questions(400, seed=6)
    assert (reader_answers(model)(honest) == honest.answers).mean() < 0.6


def test_questions_are_what_they_say() -> None:
    questions = generated_questions(50, by_row=1.0, by_word=1.0, seed=7)
    subjects = questions.tokens[:, PREFIX + SUBJECT]
    assert (questions.names[:, 0] == subjects).all()
    assert questions.words(0).startswith("how many ")
    assert (reads_the_counted_word(questions) == questions.answers).all()
    assert (reads_the_table(questions) == questions.answers).all()


def test_bad_questions_are_one_clear_line() -> None:
    with pytest.raises(QueryError, match="generated questions: expected 1 or more, 2 to 8 rows"):
        generated_questions(10, rows=9)
    questions = generated_questions(5)
    with pytest.raises(DataError, match="attributions of words: expected"):
        question_report(reads_the_table, questions, np.zeros((5, 3)))
    with pytest.raises(QueryError, match="words: expected words of the questions, got xyz"):
        question_report(reads_the_table, questions, np.zeros((5, 12)), prefixes=[("xyz",)])
    with pytest.raises(QueryError, match="prefixes: expected one or more, of up to 3 words"):
        question_report(reads_the_table, questions, np.zeros((5, 12)), prefixes=[])
