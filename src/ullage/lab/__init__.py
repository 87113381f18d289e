"""The laboratory: a small world in which every loss can be caused on purpose."""
