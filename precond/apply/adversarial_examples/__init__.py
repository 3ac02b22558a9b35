"""Adversarial examples: found, made small, and used for retraining."""
