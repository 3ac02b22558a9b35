"""One module for each command: its options (``add``) and what it does (``run``).

Thin: parse, call, print.  Heavy imports stay inside ``run``, so that ``precond --help`` is quick.
"""
