"""What a user writes: one YAML file, scenarios, and their JSON Schema."""
