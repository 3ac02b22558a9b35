"""Preconditions from data: rules over a layer's decisions, relaxation, under-approximation."""
