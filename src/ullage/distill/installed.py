"""What a recipe needs beyond torch and transformers, and whether it is there. Needs no torch."""

from __future__ import annotations

from importlib.util import find_spec

from ullage.config.models import Distill
from ullage.errors import InputError

_EITHER = {"tensorboard": ("tensorboard", "tensorboardX")}
"""Packages of which one will do."""


def require_installed(settings: Distill) -> None:
    """Refuse a recipe whose packages are not all there.

    Raises:
        InputError: naming the first that is missing, and how to install it.
    """
    if settings.lora is not None and find_spec("peft") is None:
        raise InputError("distill.lora: peft is not installed; pip install 'ullage[lora]'")
    for tracker in settings.report_to:
        if not any(find_spec(package) for package in _EITHER.get(tracker, (tracker,))):
            raise InputError(
                f"distill.report_to: {tracker} is not installed; pip install {tracker}, or leave "
                "it out"
            )
