"""A smaller network with the same outputs over a box, proved."""
