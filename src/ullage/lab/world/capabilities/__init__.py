"""One file for each thing a desk assistant can do."""
