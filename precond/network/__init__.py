"""Networks: layers, graph, evaluation, and the readers of model files."""
