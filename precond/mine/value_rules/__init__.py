"""Layer rules with values that hold for every input, through the layers after them."""
