"""Patterns that imply a property for every input of a domain; one way to find them a module."""
