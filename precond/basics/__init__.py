"""What every room may use: checked arguments, printable text, progress, whole files, doors."""
