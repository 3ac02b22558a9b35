"""What a search for layer rules says of classes that have none."""

from __future__ import annotations

from blobs import trained

from precond.basics.progress import Silent
from precond.proof.deadline import Deadline
from precond.study.analysis import Domain
from precond.study.goals import class_goal
from precond.study.options import Options
from precond.study.rule_search import RuleSearch
from precond.study.study import Study, Work
from precond.study.whole_space.run import record_values
from precond.workers.pool import open_pool


def test_classes_without_a_rule_share_one_note() -> None:
    network, data = trained(0, 2, 6, 6, 3)
    signatures = record_values(network, data)
    study = Study(
        network=network,
        data=data,
        signatures=signatures,
        domain=Domain.parse("unit", data.inputs, (0.0, 1.0)),
        goal=class_goal(network, signatures),
    )
    options = Options(minimum_support=len(data.inputs) + 1)
    with open_pool(1) as pool:
        search = RuleSearch(Work(study, options, pool, Silent()), Deadline.after(60.0))
        search.run(None)
    assert not search.rules
    assert [n for n in search.notes if "no layer rule" in n] == [
        "no layer rule reaches the precision and support asked for: 0, 1, 2"
    ]
