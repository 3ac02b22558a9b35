"""Child processes that are killed at their limit, and solvers that run in one."""
