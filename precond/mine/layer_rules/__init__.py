"""Rules over the decisions of one layer that imply a label, learned from data."""
