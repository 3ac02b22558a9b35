"""Precond: rules with proofs for ReLU networks."""
