"""Attribution: which inputs and internal units moved an output.

The names below are the public interface; each is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from attribution.attribution import Attribution as Attribution
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
    from attribution.show.visualise import Clip as Clip
    from attribution.show.visualise import Panel as Panel
    from attribution.show.visualise import compared as compared
    from attribution.show.visualise import green_overlay as green_overlay
    from attribution.show.visualise import scaled_image as scaled_image
    from attribution.show.visualise import signed_map as signed_map
    from attribution.show.visualise import tokens_html as tokens_html
    from attribution.slices import Slice as Slice
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
    "Attribution": "attribution.attribution",
    "CaptumMethod": "attribution.methods.peers",
    "CaptumSettings": "attribution.methods.peers",
    "ClassConditional": "attribution.distributions",
    "Clip": "attribution.show.visualise",
    "Custom": "attribution.distributions",
    "Display": "attribution.show.explain",
    "Empirical": "attribution.distributions",
    "ExplainSettings": "attribution.show.explain",
    "Gaussian": "attribution.distributions",
    "LinearPath": "attribution.distributions",
    "Panel": "attribution.show.visualise",
    "Point": "attribution.distributions",
    "Quantity": "attribution.quantities",
    "Rule": "attribution.rules",
    "Slice": "attribution.slices",
    "captum_attribution": "attribution.methods.peers",
    "class_expert": "attribution.uses.experts",
    "class_profiles": "attribution.uses.profiles",
    "class_removal": "attribution.uses.removal",
    "class_score": "attribution.quantities",
    "comparative": "attribution.quantities",
    "compare_experts": "attribution.uses.experts",
    "compared": "attribution.show.visualise",
    "concentrated": "attribution.uses.bugs",
    "error_detection": "attribution.uses.profiles",
    "explain": "attribution.show.explain",
    "explain_input": "attribution.show.interpret",
    "green_overlay": "attribution.show.visualise",
    "identical_attributions": "attribution.uses.bugs",
    "influence": "attribution.methods.influence",
    "influences": "attribution.uses.profiles",
    "instance_removal": "attribution.uses.removal",
    "integrated_gradients": "attribution.methods.integrated",
    "margin": "attribution.quantities",
    "max_class": "attribution.quantities",
    "over_stability": "attribution.uses.bugs",
    "profile_grid": "attribution.uses.profiles",
    "replaced_subject": "attribution.uses.bugs",
    "scaled_image": "attribution.show.visualise",
    "signed_map": "attribution.show.visualise",
    "tokens_html": "attribution.show.visualise",
    "unit": "attribution.quantities",
    "unit_meaning": "attribution.show.interpret",
    "why_rather_than": "attribution.show.interpret",
    "without_influence": "attribution.uses.bugs",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
