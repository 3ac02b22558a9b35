"""Batched linear bound propagation with rigorous rounding.

``intervals`` runs forwards; ``lines`` relaxes each activation by two straight lines;
``backward`` carries linear forms from a value back to the input box; ``region`` refines
the bounds of every layer that way; ``multipliers`` improves the free choices.
"""
