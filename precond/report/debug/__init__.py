"""The pages of ``precond debug``."""
