"""Certificates as data, their files, and a checker that stands on exact arithmetic alone.

Nothing here imports the prover: what is written twice is written twice on purpose.
"""
