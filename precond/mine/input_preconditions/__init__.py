"""The decisions of one input that suffice for its property, found by relaxation."""
