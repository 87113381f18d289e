"""Intervals, non-inferiority, power and multiplicity: numpy in, plain results out."""
