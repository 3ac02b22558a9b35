"""One run: what it asks, what it may cost, its data, its result; JSON in and out."""
