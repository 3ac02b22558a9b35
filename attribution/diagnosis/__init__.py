"""Where a network's boundary lies, which frequencies it uses, and which parts decide."""
