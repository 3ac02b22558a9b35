"""VNN-LIB queries, versions 1.0 and 2.0, read into claims.

``query`` is the way in; ``v1`` and ``v2`` parse text into a ``formula``; ``sort`` and
``regions`` turn its conjunctions into boxes, half-spaces, patterns and properties, with
``rounding`` outwards; ``networks`` joins several networks, or hidden values, into one.
"""
