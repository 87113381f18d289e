"""Making students, and keeping a ledger of the teacher signal thrown away."""
