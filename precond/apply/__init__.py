"""What rules and proofs are good for: debugging, robustness, fast paths, monitors.

The folders have the names of activities (``debugging``), the functions those of commands
(``debug``), so that neither hides the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.apply.adversarial_examples.retrain import retrain as retrain
    from precond.apply.adversarial_examples.search import adversarial as adversarial
    from precond.apply.adversarial_examples.settings import (
        AdversarialSettings as AdversarialSettings,
    )
    from precond.apply.adversarial_examples.settings import Retraining as Retraining
    from precond.apply.certification.answers import BallOutcome as BallOutcome
    from precond.apply.certification.certify import robustness as robustness
    from precond.apply.certification.monotone import Monotone as Monotone
    from precond.apply.certification.monotone import prove_monotone as prove_monotone
    from precond.apply.certification.settings import RobustnessSettings as RobustnessSettings
    from precond.apply.clustering.medoids import cluster as cluster
    from precond.apply.debugging.findings import debug as debug
    from precond.apply.debugging.rule_book import RuleBook as RuleBook
    from precond.apply.debugging.settings import DebugSettings as DebugSettings
    from precond.apply.decomposition.check import replayed as replayed
    from precond.apply.decomposition.check import second_proofs as second_proofs
    from precond.apply.decomposition.halves import decompose as decompose
    from precond.apply.decomposition.lemmas import Lemmas as Lemmas
    from precond.apply.decomposition.settings import DecompositionSettings as DecompositionSettings
    from precond.apply.distillation.learn import distill as distill
    from precond.apply.distillation.path import load_fast_path as load_fast_path
    from precond.apply.distillation.reading import Reading as Reading
    from precond.apply.distillation.samples import augmented as augmented
    from precond.apply.distillation.samples import sample_of as sample_of
    from precond.apply.distillation.settings import Promise as Promise
    from precond.apply.distillation.settings import Training as Training
    from precond.apply.monitoring.summary import summarise as summarise
    from precond.apply.monitoring.watch import Monitor as Monitor
    from precond.apply.pattern_attack import PatternAttack as PatternAttack
    from precond.apply.pattern_attack import attack_pattern as attack_pattern
    from precond.apply.simplification.settings import SimplifySettings as SimplifySettings
    from precond.apply.simplification.simplify import Simplified as Simplified
    from precond.apply.simplification.simplify import simplify as simplify
    from precond.mine.sufficient_features.sufficient import (
        SufficientFeatures as SufficientFeatures,
    )
    from precond.mine.sufficient_features.sufficient import (
        SufficientSettings as SufficientSettings,
    )
    from precond.mine.sufficient_features.sufficient import (
        sufficient_features as sufficient_features,
    )
    from precond.mine.sufficient_features.units import Units as Units

_HOMES = {
    "AdversarialSettings": "precond.apply.adversarial_examples.settings",
    "DebugSettings": "precond.apply.debugging.settings",
    "DecompositionSettings": "precond.apply.decomposition.settings",
    "Lemmas": "precond.apply.decomposition.lemmas",
    "Monitor": "precond.apply.monitoring.watch",
    "Monotone": "precond.apply.certification.monotone",
    "BallOutcome": "precond.apply.certification.answers",
    "PatternAttack": "precond.apply.pattern_attack",
    "Promise": "precond.apply.distillation.settings",
    "Reading": "precond.apply.distillation.reading",
    "Retraining": "precond.apply.adversarial_examples.settings",
    "RobustnessSettings": "precond.apply.certification.settings",
    "RuleBook": "precond.apply.debugging.rule_book",
    "Training": "precond.apply.distillation.settings",
    "adversarial": "precond.apply.adversarial_examples.search",
    "attack_pattern": "precond.apply.pattern_attack",
    "augmented": "precond.apply.distillation.samples",
    "cluster": "precond.apply.clustering.medoids",
    "debug": "precond.apply.debugging.findings",
    "decompose": "precond.apply.decomposition.halves",
    "distill": "precond.apply.distillation.learn",
    "load_fast_path": "precond.apply.distillation.path",
    "prove_monotone": "precond.apply.certification.monotone",
    "replayed": "precond.apply.decomposition.check",
    "retrain": "precond.apply.adversarial_examples.retrain",
    "robustness": "precond.apply.certification.certify",
    "sample_of": "precond.apply.distillation.samples",
    "second_proofs": "precond.apply.decomposition.check",
    "summarise": "precond.apply.monitoring.summary",
    "SimplifySettings": "precond.apply.simplification.settings",
    "Simplified": "precond.apply.simplification.simplify",
    "simplify": "precond.apply.simplification.simplify",
    "SufficientFeatures": "precond.mine.sufficient_features.sufficient",
    "SufficientSettings": "precond.mine.sufficient_features.sufficient",
    "Units": "precond.mine.sufficient_features.units",
    "sufficient_features": "precond.mine.sufficient_features.sufficient",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
