"""Anchors for rows of a table: run by an interpreter that has anchor-exp, which need not have ours.

Reads a JSON object from standard input: ``train`` (rows), ``rows`` (to explain), ``names``,
``classes``, ``layers`` (weight, bias; a ReLU between them), ``threshold``, ``seed``.  Writes a
list: for each row its conditions ``[column, "<=" or ">", limit]``, precision and coverage as
Anchors counts them, and seconds.

Source: M. T. Ribeiro, S. Singh, C. Guestrin, "Anchors: high-precision model-agnostic
explanations", AAAI 2018.
"""

import json
import sys
import time

import numpy as np
from anchor.anchor_tabular import AnchorTabularExplainer


class Kept(AnchorTabularExplainer):
    """Keeps the conditions of the last anchor as (column, kind, quartile), and not as text."""

    def __init__(self, *given):
        super().__init__(*given)
        self.conditions = []

    def add_names_to_exp(self, data_row, hoeffding_exp, mapping):
        self.conditions = [mapping[index] for index in hoeffding_exp["feature"]]
        super().add_names_to_exp(data_row, hoeffding_exp, mapping)


def main() -> None:
    given = json.load(sys.stdin)
    train = np.array(given["train"])
    layers = [(np.array(w), np.array(b)) for w, b in given["layers"]]

    def predict(rows):
        for weight, bias in layers[:-1]:
            rows = np.maximum(rows @ weight.T + bias, 0)
        weight, bias = layers[-1]
        return (rows @ weight.T + bias).argmax(1)

    explainer = Kept(given["classes"], given["names"], train, {})
    limits = [np.unique(np.percentile(column, [25, 50, 75])) for column in train.T]
    found = []
    for row in given["rows"]:
        np.random.seed(given["seed"])
        begun = time.process_time()
        anchor = explainer.explain_instance(np.array(row), predict, threshold=given["threshold"])
        seconds = time.process_time() - begun
        conditions = [
            [
                int(column),
                "<=" if kind == "leq" else ">",
                float(limits[column][min(int(value), len(limits[column]) - 1)]),
            ]
            for column, kind, value in explainer.conditions
        ]
        found.append(
            {
                "conditions": conditions,
                "words": anchor.names(),
                "precision": float(anchor.precision()),
                "coverage": float(anchor.coverage()),
                "seconds": seconds,
            }
        )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
