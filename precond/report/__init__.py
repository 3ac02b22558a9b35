"""The report: an ``Analysis`` as one self-contained HTML file."""
