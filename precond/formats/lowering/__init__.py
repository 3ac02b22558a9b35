"""What a reader calls: operators of a file in, layers of our own out."""
