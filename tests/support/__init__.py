"""Real parts that tests and benches share."""
