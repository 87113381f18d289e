"""Probes: one module per dimension, and the protocol third parties implement."""
