"""The page of ``precond patterns``."""
