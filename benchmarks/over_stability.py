"""Over-stability: answers that stay although the question lost its words.

Models of generated questions about small tables (``attribution.diagnosis``), trained on questions
with a planted shortcut or with none: a word that gives the answer away, or the row that is always
first.  Each model is asked

    alone    with only the k words left that are most often on top by integrated gradients
    subject  with another word in the subject's place: how many right answers stay
    prefix   with words of no meaning before the question
    planted  how much of a question's attribution lies on the words that give the answer away, and
             in how many questions one of them has the largest

    python benchmarks/over_stability.py --out over-stability.json

Source: Mudrakarta, Taly, Sundararajan, Dhamdhere, "Did the model understand the question?", 2018.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attribution.diagnosis.generated_questions import COUNTED, generated_questions, word_numbers
from attribution.diagnosis.question_answering import (
    question_report,
    reader_answers,
    train_reader,
    word_attributions,
)

SHORTCUTS = {"none": (0.0, 0.0), "word": (1.0, 0.0), "first row": (0.0, 1.0)}
LEARNED, ASKED = 4000, 1000  # questions


def measured(by_word: float, by_row: float) -> dict[str, Any]:
    model = train_reader(generated_questions(LEARNED, by_word=by_word, by_row=by_row, seed=1))
    questions = generated_questions(ASKED, by_word=by_word, by_row=by_row, seed=2)
    plain = generated_questions(ASKED, seed=3)
    answer, size = reader_answers(model), np.abs(word_attributions(model, questions))
    report = asdict(question_report(answer, questions, size))
    planted = np.isin(questions.tokens, word_numbers(COUNTED))
    return report | {
        "alone": {str(count): share for count, share in report["alone"]},
        "without_shortcut": float((answer(plain) == plain.answers).mean()),
        "planted_mass": float((size * planted).sum() / size.sum()),
        "planted_on_top": float(np.take_along_axis(planted, size.argmax(1)[:, None], 1).mean()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name, shares in SHORTCUTS.items():
        found[name] = one = measured(*shares)
        alone = ", ".join(f"{count}: {share:.1%}" for count, share in one["alone"].items())
        print(f"shortcut {name}: right {one['accuracy']:.1%}, where there is none", end=" ")
        print(f"{one['without_shortcut']:.1%}")
        print(f"  right with so many words left  {alone}")
        print(f"  most often on top              {', '.join(one['words'][:4])}")
        print(f"  right without the subject      {one['subject_ignored']:.1%} of the right ones")
        print(f"  right after every prefix       {one['all_prefixes']:.1%}")
        print(
            f"  words that tell the answer     {one['planted_mass']:.1%} of the attribution, on "
            f"top of {one['planted_on_top']:.1%}",
            flush=True,
        )
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
