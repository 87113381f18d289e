"""A support desk in a small, templated English, generated from a seed, with exact answers."""
