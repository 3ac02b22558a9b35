"""The page of ``precond analyze``."""
