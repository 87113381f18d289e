"""What this auditor can see and what it cannot: trials on losses of a known size.

`run.run_selftest` plants losses in simulated students, judges them as every audit does, and counts
how often they are found. `docs/how-to/selftest.md` says how to read the result.
"""
