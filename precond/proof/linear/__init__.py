"""Linear programs of a problem, and rigorous bounds from their duals.

``blocks`` reads the affine maps between nonlinear layers off a network; ``encode`` makes a
``system`` of rows and columns of a problem; ``programs`` solves it; ``interior`` finds points.
"""
