"""Checks of attributions: removal and insertion, infidelity, random weights, exact integrals."""
