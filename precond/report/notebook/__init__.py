"""What a notebook shows of results."""
