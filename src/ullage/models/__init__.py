"""How a model is asked: one protocol, one adapter per kind of model."""
