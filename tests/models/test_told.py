"""Nothing that is published names the folders of one machine."""

from __future__ import annotations

import pytest

from ullage.models.told import told


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("models/teacher", "models/teacher"),
        ("../student", "../student"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("hf:models/teacher", "hf:models/teacher"),
        ("openai:big", "openai:big"),
        ("/home/ada/models/teacher", "teacher"),
        ("hf:/home/ada/models/teacher/", "hf:teacher"),
        ("recorded:/home/ada/said.jsonl", "recorded:said.jsonl"),
        ("hf:~/models/teacher.gguf", "hf:teacher.gguf"),
        ("hf:C:\\Users\\Ada\\teacher", "hf:teacher"),
        ("D:/models/teacher", "teacher"),
    ],
)
def test_of_an_absolute_path_the_last_part_is_told(written: str, says: str) -> None:
    assert told(written) == says
