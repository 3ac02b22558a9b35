"""The input features that suffice for one prediction: a small set, and how small one can be."""
