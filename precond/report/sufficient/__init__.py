"""The page about the features that suffice for one prediction."""
