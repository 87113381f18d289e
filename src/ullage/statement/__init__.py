"""The Distillation Loss Statement: its schema and its views."""
