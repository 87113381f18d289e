"""Models that run here: `transformers` checkpoints, asked by a decode loop of our own.

Importing this package imports no torch; entering an `HfModel` does. What each module is for:

- `model`: the adapter (locator, identity, description, answering in a worker thread)
- `prompt`: conversation to token ids and back
- `load`: checkpoint to a `Network`, with every trouble as one line
- `network`: forward passes over right-padded rows whose values do not depend on their company
- `generate`, `weigh`: the two requests, on top of it
- `smollm2`: the small real model of the demo and the tests
"""

from ullage.models.hf.model import HfModel
from ullage.models.hf.smollm2 import ensure_smollm2

__all__ = ["HfModel", "ensure_smollm2"]
