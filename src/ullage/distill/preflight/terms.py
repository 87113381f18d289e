"""Whether somebody has looked up that a teacher's outputs may train a model. Needs no torch."""

from __future__ import annotations

from ullage.distill.preflight.findings import Checked, error, warning
from ullage.distill.recipe import Recipe


def check_terms(recipe: Recipe) -> Checked:
    """The teacher's terms: an endpoint without them is a question, and a `no` is a no.

    A recipe that takes nothing from its teacher, such as plain fine-tuning, is not asked.
    """
    teacher, terms = recipe.teacher, recipe.teacher.terms
    facts = {
        "may_train": None if terms is None else terms.may_train,
        "document": None if terms is None else terms.document,
        "read_on": None if terms is None else terms.read_on.isoformat(),
    }
    if not recipe.eats:
        return Checked((), facts)
    if terms is not None and not terms.may_train:
        found = error(
            "terms",
            f"arms.teacher.terms: outputs of '{teacher.model}' may not train a model, says "
            f"{terms.document!r}",
            "use a teacher that may teach, or get its owner's leave and name that document",
        )
        return Checked((found,), facts)
    if terms is None and teacher.scheme in ("openai", "recorded"):
        make = error if teacher.scheme == "openai" else warning
        found = make(
            "terms",
            f"arms.teacher: may outputs of '{teacher.model}' train a model? nothing says so",
            "read its terms and state arms.teacher.terms: {may_train, document, read_on}",
        )
        return Checked((found,), facts)
    return Checked((), facts)
