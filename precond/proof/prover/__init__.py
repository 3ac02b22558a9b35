"""``prove``: which engines answer a claim, in which order, and how answers become a verdict."""
