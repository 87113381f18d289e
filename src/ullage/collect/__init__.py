"""Asking once and cheaply: the scheduler and the journal of replies."""
