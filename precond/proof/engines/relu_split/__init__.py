"""Branch and bound over the phases of neurons."""
