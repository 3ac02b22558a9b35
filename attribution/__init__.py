"""Attribution: which inputs and internal units moved an output.

The names below are the public interface; each is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from attribution.attribution import Attribution as Attribution
    from attribution.checks.approximations import ExactDistance as ExactDistance
    from attribution.checks.approximations import exact_distance as exact_distance
    from attribution.checks.approximations import guided_path as guided_path
    from attribution.checks.approximations import important_directions as important_directions
    from attribution.checks.approximations import riemann_sum as riemann_sum
    from attribution.checks.curves import RemovalCurves as RemovalCurves
    from attribution.checks.curves import removal_curves as removal_curves
    from attribution.checks.infidelity import Infidelity as Infidelity
    from attribution.checks.infidelity import RandomChanges as RandomChanges
    from attribution.checks.infidelity import infidelity as infidelity
    from attribution.checks.random_weights import RandomWeights as RandomWeights
    from attribution.checks.random_weights import random_weights as random_weights
    from attribution.concepts.bars import Bars as Bars
    from attribution.concepts.bars import BarStyle as BarStyle
    from attribution.concepts.bars import render_bars as render_bars
    from attribution.concepts.captions import caption_noise as caption_noise
    from attribution.concepts.captions import write_captions as write_captions
    from attribution.concepts.cav import Cav as Cav
    from attribution.concepts.cav import concept_vector as concept_vector
    from attribution.concepts.cav import flat_values as flat_values
    from attribution.concepts.cav import most_like as most_like
    from attribution.concepts.coloured import ColouredDigits as ColouredDigits
    from attribution.concepts.coloured import colour_digits as colour_digits
    from attribution.concepts.dissection import Dissection as Dissection
    from attribution.concepts.dissection import dissect as dissect
    from attribution.concepts.effects import ConceptEffect as ConceptEffect
    from attribution.concepts.effects import causal_effect as causal_effect
    from attribution.concepts.effects import class_probabilities as class_probabilities
    from attribution.concepts.effects import conditional_effect as conditional_effect
    from attribution.concepts.generator import GeneratorSettings as GeneratorSettings
    from attribution.concepts.generator import decoded_effect as decoded_effect
    from attribution.concepts.generator import encoded_effect as encoded_effect
    from attribution.concepts.generator import train_generator as train_generator
    from attribution.concepts.robust_training import Ascent as Ascent
    from attribution.concepts.robust_training import GradientLook as GradientLook
    from attribution.concepts.robust_training import Norm as Norm
    from attribution.concepts.robust_training import adversarial_training as adversarial_training
    from attribution.concepts.robust_training import gradient_look as gradient_look
    from attribution.concepts.robust_training import large_change as large_change
    from attribution.concepts.robust_training import maximised as maximised
    from attribution.concepts.scenes import Scenes as Scenes
    from attribution.concepts.scenes import render_scenes as render_scenes
    from attribution.concepts.tcav import Tcav as Tcav
    from attribution.concepts.tcav import TcavSettings as TcavSettings
    from attribution.concepts.tcav import concept_scores as concept_scores
    from attribution.diagnosis.band_training import BandTraining as BandTraining
    from attribution.diagnosis.band_training import LabelledPictures as LabelledPictures
    from attribution.diagnosis.band_training import band_training as band_training
    from attribution.diagnosis.band_training import kernel_roughness as kernel_roughness
    from attribution.diagnosis.consistency import Consistency as Consistency
    from attribution.diagnosis.consistency import ConsistencySettings as ConsistencySettings
    from attribution.diagnosis.consistency import knowledge_consistency as knowledge_consistency
    from attribution.diagnosis.explainer_network import Explainer as Explainer
    from attribution.diagnosis.explainer_network import ExplainerSettings as ExplainerSettings
    from attribution.diagnosis.explainer_network import explainer_network as explainer_network
    from attribution.diagnosis.explanatory_graph import ExplanatoryGraph as ExplanatoryGraph
    from attribution.diagnosis.explanatory_graph import GraphSettings as GraphSettings
    from attribution.diagnosis.explanatory_graph import explanatory_graph as explanatory_graph
    from attribution.diagnosis.frequency import Frequencies as Frequencies
    from attribution.diagnosis.frequency import frequency_accuracy as frequency_accuracy
    from attribution.diagnosis.frequency import frequency_parts as frequency_parts
    from attribution.diagnosis.generated_questions import Questions as Questions
    from attribution.diagnosis.generated_questions import generated_questions as generated_questions
    from attribution.diagnosis.information_plane import PlaneData as PlaneData
    from attribution.diagnosis.information_plane import information_plane as information_plane
    from attribution.diagnosis.information_plane import plane_point as plane_point
    from attribution.diagnosis.location import location_instability as location_instability
    from attribution.diagnosis.margins import SubspaceMargins as SubspaceMargins
    from attribution.diagnosis.margins import subspace_margins as subspace_margins
    from attribution.diagnosis.patches import Marginal as Marginal
    from attribution.diagnosis.patches import PatchGaussian as PatchGaussian
    from attribution.diagnosis.patches import windows_of as windows_of
    from attribution.diagnosis.prediction_difference import Draws as Draws
    from attribution.diagnosis.prediction_difference import (
        PredictionDifference as PredictionDifference,
    )
    from attribution.diagnosis.prediction_difference import hidden_parts as hidden_parts
    from attribution.diagnosis.question_answering import QuestionReport as QuestionReport
    from attribution.diagnosis.question_answering import question_report as question_report
    from attribution.diagnosis.question_answering import reader_answers as reader_answers
    from attribution.diagnosis.question_answering import train_reader as train_reader
    from attribution.diagnosis.question_answering import word_attributions as word_attributions
    from attribution.diagnosis.rationales import Rationales as Rationales
    from attribution.diagnosis.rationales import pattern_agreement as pattern_agreement
    from attribution.diagnosis.rationales import rationale_tree as rationale_tree
    from attribution.diagnosis.rationales import rationales as rationales
    from attribution.diagnosis.spectral_bias import Sinusoids as Sinusoids
    from attribution.diagnosis.spectral_bias import SpectralBias as SpectralBias
    from attribution.diagnosis.spectral_bias import WeightNoise as WeightNoise
    from attribution.diagnosis.spectral_bias import spectral_bias as spectral_bias
    from attribution.diagnosis.subspaces import Subspace as Subspace
    from attribution.diagnosis.subspaces import cosine_bands as cosine_bands
    from attribution.diagnosis.subspaces import whole_space as whole_space
    from attribution.distributions import ClassConditional as ClassConditional
    from attribution.distributions import Custom as Custom
    from attribution.distributions import Empirical as Empirical
    from attribution.distributions import Gaussian as Gaussian
    from attribution.distributions import LinearPath as LinearPath
    from attribution.distributions import Point as Point
    from attribution.methods.influence import influence as influence
    from attribution.methods.integrated import integrated_gradients as integrated_gradients
    from attribution.methods.peers import CaptumMethod as CaptumMethod
    from attribution.methods.peers import CaptumSettings as CaptumSettings
    from attribution.methods.peers import captum_attribution as captum_attribution
    from attribution.quantities import Quantity as Quantity
    from attribution.quantities import class_score as class_score
    from attribution.quantities import comparative as comparative
    from attribution.quantities import margin as margin
    from attribution.quantities import max_class as max_class
    from attribution.quantities import unit as unit
    from attribution.rules import Rule as Rule
    from attribution.show.explain import Display as Display
    from attribution.show.explain import ExplainSettings as ExplainSettings
    from attribution.show.explain import explain as explain
    from attribution.show.interpret import explain_input as explain_input
    from attribution.show.interpret import unit_meaning as unit_meaning
    from attribution.show.interpret import why_rather_than as why_rather_than
    from attribution.show.part_patterns import pattern_sheet as pattern_sheet
    from attribution.show.visualise import Clip as Clip
    from attribution.show.visualise import Panel as Panel
    from attribution.show.visualise import compared as compared
    from attribution.show.visualise import green_overlay as green_overlay
    from attribution.show.visualise import scaled_image as scaled_image
    from attribution.show.visualise import signed_map as signed_map
    from attribution.show.visualise import tokens_html as tokens_html
    from attribution.slices import Slice as Slice
    from attribution.training import TrainingSchedule as TrainingSchedule
    from attribution.uses.bugs import concentrated as concentrated
    from attribution.uses.bugs import identical_attributions as identical_attributions
    from attribution.uses.bugs import over_stability as over_stability
    from attribution.uses.bugs import replaced_subject as replaced_subject
    from attribution.uses.bugs import without_influence as without_influence
    from attribution.uses.experts import class_expert as class_expert
    from attribution.uses.experts import compare_experts as compare_experts
    from attribution.uses.profiles import class_profiles as class_profiles
    from attribution.uses.profiles import error_detection as error_detection
    from attribution.uses.profiles import influences as influences
    from attribution.uses.profiles import profile_grid as profile_grid
    from attribution.uses.removal import class_removal as class_removal
    from attribution.uses.removal import instance_removal as instance_removal

_HOMES = {
    "Ascent": "attribution.concepts.robust_training",
    "Attribution": "attribution.attribution",
    "BandTraining": "attribution.diagnosis.band_training",
    "BarStyle": "attribution.concepts.bars",
    "Bars": "attribution.concepts.bars",
    "CaptumMethod": "attribution.methods.peers",
    "CaptumSettings": "attribution.methods.peers",
    "Cav": "attribution.concepts.cav",
    "ClassConditional": "attribution.distributions",
    "Clip": "attribution.show.visualise",
    "ColouredDigits": "attribution.concepts.coloured",
    "ConceptEffect": "attribution.concepts.effects",
    "Consistency": "attribution.diagnosis.consistency",
    "ConsistencySettings": "attribution.diagnosis.consistency",
    "Custom": "attribution.distributions",
    "Display": "attribution.show.explain",
    "Dissection": "attribution.concepts.dissection",
    "Draws": "attribution.diagnosis.prediction_difference",
    "Empirical": "attribution.distributions",
    "ExactDistance": "attribution.checks.approximations",
    "ExplainSettings": "attribution.show.explain",
    "Explainer": "attribution.diagnosis.explainer_network",
    "ExplainerSettings": "attribution.diagnosis.explainer_network",
    "ExplanatoryGraph": "attribution.diagnosis.explanatory_graph",
    "Frequencies": "attribution.diagnosis.frequency",
    "Gaussian": "attribution.distributions",
    "GeneratorSettings": "attribution.concepts.generator",
    "GradientLook": "attribution.concepts.robust_training",
    "GraphSettings": "attribution.diagnosis.explanatory_graph",
    "Infidelity": "attribution.checks.infidelity",
    "LabelledPictures": "attribution.diagnosis.band_training",
    "LinearPath": "attribution.distributions",
    "Marginal": "attribution.diagnosis.patches",
    "Norm": "attribution.concepts.robust_training",
    "Panel": "attribution.show.visualise",
    "PatchGaussian": "attribution.diagnosis.patches",
    "PlaneData": "attribution.diagnosis.information_plane",
    "Point": "attribution.distributions",
    "PredictionDifference": "attribution.diagnosis.prediction_difference",
    "Quantity": "attribution.quantities",
    "QuestionReport": "attribution.diagnosis.question_answering",
    "Questions": "attribution.diagnosis.generated_questions",
    "RandomChanges": "attribution.checks.infidelity",
    "RandomWeights": "attribution.checks.random_weights",
    "Rationales": "attribution.diagnosis.rationales",
    "RemovalCurves": "attribution.checks.curves",
    "Rule": "attribution.rules",
    "Scenes": "attribution.concepts.scenes",
    "Sinusoids": "attribution.diagnosis.spectral_bias",
    "Slice": "attribution.slices",
    "SpectralBias": "attribution.diagnosis.spectral_bias",
    "Subspace": "attribution.diagnosis.subspaces",
    "SubspaceMargins": "attribution.diagnosis.margins",
    "Tcav": "attribution.concepts.tcav",
    "TcavSettings": "attribution.concepts.tcav",
    "TrainingSchedule": "attribution.training",
    "WeightNoise": "attribution.diagnosis.spectral_bias",
    "adversarial_training": "attribution.concepts.robust_training",
    "band_training": "attribution.diagnosis.band_training",
    "caption_noise": "attribution.concepts.captions",
    "captum_attribution": "attribution.methods.peers",
    "causal_effect": "attribution.concepts.effects",
    "class_expert": "attribution.uses.experts",
    "class_probabilities": "attribution.concepts.effects",
    "class_profiles": "attribution.uses.profiles",
    "class_removal": "attribution.uses.removal",
    "class_score": "attribution.quantities",
    "colour_digits": "attribution.concepts.coloured",
    "comparative": "attribution.quantities",
    "compare_experts": "attribution.uses.experts",
    "compared": "attribution.show.visualise",
    "concentrated": "attribution.uses.bugs",
    "concept_scores": "attribution.concepts.tcav",
    "concept_vector": "attribution.concepts.cav",
    "conditional_effect": "attribution.concepts.effects",
    "cosine_bands": "attribution.diagnosis.subspaces",
    "decoded_effect": "attribution.concepts.generator",
    "dissect": "attribution.concepts.dissection",
    "encoded_effect": "attribution.concepts.generator",
    "error_detection": "attribution.uses.profiles",
    "exact_distance": "attribution.checks.approximations",
    "explain": "attribution.show.explain",
    "explain_input": "attribution.show.interpret",
    "explainer_network": "attribution.diagnosis.explainer_network",
    "explanatory_graph": "attribution.diagnosis.explanatory_graph",
    "flat_values": "attribution.concepts.cav",
    "frequency_accuracy": "attribution.diagnosis.frequency",
    "frequency_parts": "attribution.diagnosis.frequency",
    "generated_questions": "attribution.diagnosis.generated_questions",
    "gradient_look": "attribution.concepts.robust_training",
    "green_overlay": "attribution.show.visualise",
    "guided_path": "attribution.checks.approximations",
    "hidden_parts": "attribution.diagnosis.prediction_difference",
    "identical_attributions": "attribution.uses.bugs",
    "important_directions": "attribution.checks.approximations",
    "infidelity": "attribution.checks.infidelity",
    "influence": "attribution.methods.influence",
    "influences": "attribution.uses.profiles",
    "information_plane": "attribution.diagnosis.information_plane",
    "instance_removal": "attribution.uses.removal",
    "integrated_gradients": "attribution.methods.integrated",
    "kernel_roughness": "attribution.diagnosis.band_training",
    "knowledge_consistency": "attribution.diagnosis.consistency",
    "large_change": "attribution.concepts.robust_training",
    "location_instability": "attribution.diagnosis.location",
    "margin": "attribution.quantities",
    "max_class": "attribution.quantities",
    "maximised": "attribution.concepts.robust_training",
    "most_like": "attribution.concepts.cav",
    "over_stability": "attribution.uses.bugs",
    "pattern_agreement": "attribution.diagnosis.rationales",
    "pattern_sheet": "attribution.show.part_patterns",
    "plane_point": "attribution.diagnosis.information_plane",
    "profile_grid": "attribution.uses.profiles",
    "question_report": "attribution.diagnosis.question_answering",
    "random_weights": "attribution.checks.random_weights",
    "rationale_tree": "attribution.diagnosis.rationales",
    "rationales": "attribution.diagnosis.rationales",
    "reader_answers": "attribution.diagnosis.question_answering",
    "removal_curves": "attribution.checks.curves",
    "render_bars": "attribution.concepts.bars",
    "render_scenes": "attribution.concepts.scenes",
    "replaced_subject": "attribution.uses.bugs",
    "riemann_sum": "attribution.checks.approximations",
    "scaled_image": "attribution.show.visualise",
    "signed_map": "attribution.show.visualise",
    "spectral_bias": "attribution.diagnosis.spectral_bias",
    "subspace_margins": "attribution.diagnosis.margins",
    "tokens_html": "attribution.show.visualise",
    "train_generator": "attribution.concepts.generator",
    "train_reader": "attribution.diagnosis.question_answering",
    "unit": "attribution.quantities",
    "unit_meaning": "attribution.show.interpret",
    "whole_space": "attribution.diagnosis.subspaces",
    "why_rather_than": "attribution.show.interpret",
    "windows_of": "attribution.diagnosis.patches",
    "without_influence": "attribution.uses.bugs",
    "word_attributions": "attribution.diagnosis.question_answering",
    "write_captions": "attribution.concepts.captions",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
