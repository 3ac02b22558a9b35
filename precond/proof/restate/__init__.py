"""A claim stated again in a form that is easier to prove, and the way back."""
