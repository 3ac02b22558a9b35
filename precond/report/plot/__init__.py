"""Drawings of the pages, as inline SVG and PNG data addresses; colours come from style sheets."""
