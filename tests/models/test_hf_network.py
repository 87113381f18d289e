"""Forward passes over padded rows, against each architecture's own plain forward pass."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402

from ullage.models.hf.network import (  # noqa: E402
    PaddedNetwork,
    PlainNetwork,
    build,
    padded,
)

pytestmark = pytest.mark.local

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], type]] = {
    "llama": ("llama", {}, PaddedNetwork),
    "one key head": ("llama", {"num_key_value_heads": 1}, PaddedNetwork),
    "as many key heads": ("llama", {"num_key_value_heads": 4}, PaddedNetwork),
    "qwen2": ("qwen2", {}, PaddedNetwork),
    "sliding window": ("mistral", {"sliding_window": 24}, PaddedNetwork),
    "mixed windows": ("gemma3_text", {"sliding_window": 24, "layer_types": None}, PaddedNetwork),
    "soft-capped": ("gemma2", {"sliding_window": 24, "query_pre_attn_scalar": 8}, PaddedNetwork),
    "learnt positions": (
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048},
        PaddedNetwork,
    ),
    "ALiBi": ("bloom", {"n_layer": 2, "n_head": 4}, PlainNetwork),
    "recurrent": ("mamba", {"state_size": 8}, PlainNetwork),
}


def make(kind: str, changes: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    sizes = {key: value for key, value in {**SIZES, **changes}.items() if value is not None}
    config = CONFIG_MAPPING[kind](**sizes)
    config.initializer_range = 0.3
    auto: Any = AutoModelForCausalLM
    return auto.from_config(config).eval()


def plain_logits(model: Any, ids: list[int]) -> Any:
    """One sequence, no padding, no cache, no batch, the architecture's own attention."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def tokens(count: int, seed: int) -> list[int]:
    noise = torch.Generator().manual_seed(seed)
    ids: list[int] = torch.randint(3, SIZES["vocab_size"], (count,), generator=noise).tolist()
    return ids


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rows_give_the_architectures_own_logits(name: str) -> None:
    kind, changes, expected_network = ARCHITECTURES[name]
    model = make(kind, changes)
    sequences = [tokens(count, seed) for seed, count in enumerate((3, 40, 300, 19, 1))]
    expected = [plain_logits(model, ids) for ids in sequences]

    network = build(model)

    assert type(network) is expected_network
    split = [max(1, len(ids) - 17) for ids in sequences]
    prefixes = [ids[: cut - 1] for ids, cut in zip(sequences, split, strict=True)]
    fed = [ids[cut - 1 :] for ids, cut in zip(sequences, split, strict=True)]
    order = [2, 0, 4, 1, 3, 2]
    room = max(map(len, prefixes)) + padded(max(map(len, fed)))
    state = network.gather([(network.prefill(prefixes), order)], room)
    starts = [len(prefixes[place]) for place in order]
    logits = network.feed(state, [fed[place] for place in order], starts)
    for row, place in enumerate(order):
        want = expected[place][starts[row] :]
        torch.testing.assert_close(logits[row, : len(want)], want, rtol=1e-3, atol=1e-3)

    more = [[7 + row] for row in range(len(order))]
    lengths = [len(sequences[place]) for place in order]
    logits = network.feed(network.gather([(state, range(len(order)))], 400), more, lengths)
    for row, place in enumerate(order):
        want = plain_logits(make(kind, changes), sequences[place] + more[row])[-1]
        torch.testing.assert_close(logits[row, 0], want, rtol=1e-3, atol=1e-3)


def decode(network: Any, prefixes: list[list[int]], room: int, steps: int = 4) -> list[list[Any]]:
    """Logits of a few greedy steps per prompt, all prompts in one batch."""
    state = network.gather([(network.prefill(prefixes), range(len(prefixes)))], room)
    following = [5] * len(prefixes)
    out: list[list[Any]] = [[] for _ in prefixes]
    for step in range(steps):
        starts = [len(prefix) + step for prefix in prefixes]
        logits = network.feed(state, [[token] for token in following], starts)[:, 0]
        following = logits.argmax(-1).tolist()
        for row, entry in enumerate(logits):
            out[row].append(entry.clone())
    return out


@pytest.mark.parametrize("name", ["llama", "one key head", "as many key heads", "mixed windows"])
def test_a_rows_bits_do_not_depend_on_its_company(name: str) -> None:
    kind, changes, _ = ARCHITECTURES[name]
    network = build(make(kind, changes))
    prefixes = [tokens(count, seed) for seed, count in enumerate((2, 130, 5, 255, 61, 600, 257, 0))]
    header = tokens(70, 99)
    together = decode(network, prefixes, 1100)
    for place in (0, 1, 3, 4, 7):
        for company in ([], [prefixes[5]], prefixes[2:3] * 20):
            (*_, alone) = decode(network, [*company, prefixes[place]], 700)
            for step, (one, other) in enumerate(zip(alone, together[place], strict=True)):
                assert torch.equal(one, other), (place, len(company), step)
    for ends in ([1, 40, 3], [300, 2]):
        headed = [header + tokens(count, count) for count in ends]
        for place, shared in enumerate(decode(network, headed, 700)):
            (alone,) = decode(network, [headed[place]], 700)
            assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True)), place
