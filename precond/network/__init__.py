"""Networks: layers, graph, exact rewrites, and evaluation in floats and in rationals."""
