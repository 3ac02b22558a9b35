"""Data sets: built-in ones and a user's own files, one row of numbers an input."""
