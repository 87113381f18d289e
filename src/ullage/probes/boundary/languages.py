"""Other languages: a small text and its question in English, and the same in another language.

Answers are names and numbers, which are written alike in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ullage.probes.boundary.twins import Twins, twin_metrics, twins
from ullage.probes.domains import FIRST_NAMES
from ullage.probes.draw import Draw, arranged
from ullage.probes.protocol import Item

_CITIES = (
    "Oslo", "Madrid", "Bilbao", "Lima", "Quito", "Caracas", "Toronto", "Chicago", "Boston",
    "Dallas",
)  # fmt: skip
"""Spelt alike in every language here."""

_ENGLISH = "English"
_BRIEFLY = {
    _ENGLISH: "Answer briefly.",
    "German": "Antworte kurz.",
    "French": "Réponds brièvement.",
    "Spanish": "Responde brevemente.",
    "Italian": "Rispondi in breve.",
    "Portuguese": "Responda brevemente.",
    "Dutch": "Antwoord kort.",
}
_TEMPLATES: dict[str, dict[str, tuple[str, str]]] = {
    "city": {
        _ENGLISH: ("{a} lives in {c} and {b} lives in {d}.", "In which city does {a} live?"),
        "German": ("{a} wohnt in {c}, und {b} wohnt in {d}.", "In welcher Stadt wohnt {a}?"),
        "French": ("{a} habite à {c} et {b} habite à {d}.", "Dans quelle ville habite {a} ?"),
        "Spanish": ("{a} vive en {c} y {b} vive en {d}.", "¿En qué ciudad vive {a}?"),
        "Italian": ("{a} vive a {c} e {b} vive a {d}.", "In quale città vive {a}?"),
        "Portuguese": ("{a} mora em {c} e {b} mora em {d}.", "Em que cidade mora {a}?"),
        "Dutch": ("{a} woont in {c} en {b} woont in {d}.", "In welke stad woont {a}?"),
    },
    "price": {
        _ENGLISH: (
            "The book costs {n} euros and the bag costs {m} euros.",
            "How much does the book cost?",
        ),
        "German": (
            "Das Buch kostet {n} Euro, und die Tasche kostet {m} Euro.",
            "Wie viel kostet das Buch?",
        ),
        "French": (
            "Le livre coûte {n} euros et le sac coûte {m} euros.",
            "Combien coûte le livre ?",
        ),
        "Spanish": (
            "El libro cuesta {n} euros y el bolso cuesta {m} euros.",
            "¿Cuánto cuesta el libro?",
        ),
        "Italian": ("Il libro costa {n} euro e la borsa costa {m} euro.", "Quanto costa il libro?"),
        "Portuguese": (
            "O livro custa {n} euros e a bolsa custa {m} euros.",
            "Quanto custa o livro?",
        ),
        "Dutch": ("Het boek kost {n} euro en de tas kost {m} euro.", "Hoeveel kost het boek?"),
    },
    "age": {
        _ENGLISH: ("{a} is {n} years old and {b} is {m} years old.", "How old is {a}?"),
        "German": ("{a} ist {n} Jahre alt, und {b} ist {m} Jahre alt.", "Wie alt ist {a}?"),
        "French": ("{a} a {n} ans et {b} a {m} ans.", "Quel âge a {a} ?"),
        "Spanish": ("{a} tiene {n} años y {b} tiene {m} años.", "¿Cuántos años tiene {a}?"),
        "Italian": ("{a} ha {n} anni e {b} ha {m} anni.", "Quanti anni ha {a}?"),
        "Portuguese": ("{a} tem {n} anos e {b} tem {m} anos.", "Quantos anos tem {a}?"),
        "Dutch": ("{a} is {n} jaar oud en {b} is {m} jaar oud.", "Hoe oud is {a}?"),
    },
    "room": {
        _ENGLISH: ("{a} has room {n} and {b} has room {m}.", "Which room does {a} have?"),
        "German": ("{a} hat Zimmer {n}, und {b} hat Zimmer {m}.", "Welches Zimmer hat {a}?"),
        "French": ("{a} a la chambre {n} et {b} a la chambre {m}.", "Quelle chambre a {a} ?"),
        "Spanish": (
            "{a} tiene la habitación {n} y {b} tiene la habitación {m}.",
            "¿Qué habitación tiene {a}?",
        ),
        "Italian": ("{a} ha la camera {n} e {b} ha la camera {m}.", "Quale camera ha {a}?"),
        "Portuguese": ("{a} tem o quarto {n} e {b} tem o quarto {m}.", "Que quarto tem {a}?"),
        "Dutch": ("{a} heeft kamer {n} en {b} heeft kamer {m}.", "Welke kamer heeft {a}?"),
    },
    "older": {
        _ENGLISH: ("{a} is {n} years old and {b} is {m} years old.", "Who is older?"),
        "German": ("{a} ist {n} Jahre alt, und {b} ist {m} Jahre alt.", "Wer ist älter?"),
        "French": ("{a} a {n} ans et {b} a {m} ans.", "Qui est le plus âgé ?"),
        "Spanish": ("{a} tiene {n} años y {b} tiene {m} años.", "¿Quién es mayor?"),
        "Italian": ("{a} ha {n} anni e {b} ha {m} anni.", "Chi ha più anni?"),
        "Portuguese": ("{a} tem {n} anos e {b} tem {m} anos.", "Quem é mais velho?"),
        "Dutch": ("{a} is {n} jaar oud en {b} is {m} jaar oud.", "Wie is ouder?"),
    },
    "buyer": {
        _ENGLISH: ("{a} sold the car to {b}.", "Who bought the car?"),
        "German": ("{a} hat das Auto an {b} verkauft.", "Wer hat das Auto gekauft?"),
        "French": ("{a} a vendu la voiture à {b}.", "Qui a acheté la voiture ?"),
        "Spanish": ("{a} vendió el coche a {b}.", "¿Quién compró el coche?"),
        "Italian": ("{a} ha venduto l'auto a {b}.", "Chi ha comprato l'auto?"),
        "Portuguese": ("{a} vendeu o carro a {b}.", "Quem comprou o carro?"),
        "Dutch": ("{a} heeft de auto aan {b} verkocht.", "Wie heeft de auto gekocht?"),
    },
    "platform": {
        _ENGLISH: (
            "The train to {c} leaves from platform {n} and the train to {d} from platform {m}.",
            "From which platform does the train to {c} leave?",
        ),
        "German": (
            "Der Zug nach {c} fährt von Gleis {n} ab und der Zug nach {d} von Gleis {m}.",
            "Von welchem Gleis fährt der Zug nach {c} ab?",
        ),
        "French": (
            "Le train pour {c} part du quai {n} et le train pour {d} part du quai {m}.",
            "De quel quai part le train pour {c} ?",
        ),
        "Spanish": (
            "El tren a {c} sale de la vía {n} y el tren a {d} sale de la vía {m}.",
            "¿De qué vía sale el tren a {c}?",
        ),
        "Italian": (
            "Il treno per {c} parte dal binario {n} e il treno per {d} parte dal binario {m}.",
            "Da quale binario parte il treno per {c}?",
        ),
        "Portuguese": (
            "O trem para {c} parte da plataforma {n} e o trem para {d} parte da plataforma {m}.",
            "De que plataforma parte o trem para {c}?",
        ),
        "Dutch": (
            "De trein naar {c} vertrekt van spoor {n} en de trein naar {d} van spoor {m}.",
            "Van welk spoor vertrekt de trein naar {c}?",
        ),
    },
    "last": {
        _ENGLISH: ("First comes {a}, then {b}, and finally {e}.", "Who comes last?"),
        "German": ("Zuerst kommt {a}, dann {b} und zuletzt {e}.", "Wer kommt zuletzt?"),
        "French": ("D'abord arrive {a}, puis {b} et enfin {e}.", "Qui arrive en dernier ?"),
        "Spanish": ("Primero llega {a}, después {b} y por último {e}.", "¿Quién llega último?"),
        "Italian": ("Prima arriva {a}, poi {b} e infine {e}.", "Chi arriva per ultimo?"),
        "Portuguese": ("Primeiro chega {a}, depois {b} e por fim {e}.", "Quem chega por último?"),
        "Dutch": ("Eerst komt {a}, dan {b} en als laatste {e}.", "Wie komt als laatste?"),
    },
}
"""Text and question by what is asked for and language: {a}, {b}, {e} are people, {c}, {d} cities,
{n}, {m} numbers."""


def _older(said: dict[str, str]) -> tuple[str, str]:
    first, second = said["a"], said["b"]
    return (first, second) if int(said["n"]) > int(said["m"]) else (second, first)


_ANSWERS: dict[str, Callable[[dict[str, str]], tuple[str, str]]] = {
    "city": lambda said: (said["c"], said["d"]),
    "price": lambda said: (said["n"], said["m"]),
    "age": lambda said: (said["n"], said["m"]),
    "room": lambda said: (said["n"], said["m"]),
    "older": _older,
    "buyer": lambda said: (said["b"], said["a"]),
    "platform": lambda said: (said["n"], said["m"]),
    "last": lambda said: (said["e"], said["a"]),
}
"""The answer, and one that the text holds for something else."""

_LANGUAGES = tuple(language for language in _BRIEFLY if language != _ENGLISH)
_FAMILIES = tuple((language, kind) for language in _LANGUAGES for kind in _TEMPLATES)
_LOW, _NUMBERS = 21, 60


class OtherLanguages(Twins):
    """A text, a question and an instruction in English, and all three in another language."""

    name = "other-languages"
    families = tuple(f"{language.lower()}:{kind}" for language, kind in _FAMILIES)
    example = (
        '{"plain": "Order 17 went with Velox. Which carrier took it?", '
        '"changed": "Bestellung 17 ging mit Velox. Wer hat sie befördert?", "reference": "Velox"}'
    )
    metrics = twin_metrics(
        "the language is not English",
        "Shi et al. 2022 (arXiv 2210.03057): the same problems in several languages",
    )

    def make(self, draw: Draw) -> Item:
        """One template in both languages, filled alike."""
        language, kind = _FAMILIES[draw.family]
        # Neither the two names nor the two numbers come twice in a family.
        code = draw.unique(math.perm(len(FIRST_NAMES), 2))
        first, second = arranged(code, FIRST_NAMES, 2)
        third = draw.pick([name for name in FIRST_NAMES if name not in (first, second)])
        city, other = draw.some(_CITIES, 2)
        low = _LOW + code % _NUMBERS
        high = low + 2 + code // _NUMBERS
        numbers = (low, high) if draw.below(2) else (high, low)
        n, m = map(str, numbers)
        said = {"a": first, "b": second, "e": third, "c": city, "d": other, "n": n, "m": m}
        answer, wrong = _ANSWERS[kind](said)
        plain, changed = (
            f"{text.format(**said)}\n\n{question.format(**said)} {_BRIEFLY[tongue]}"
            for tongue in (_ENGLISH, language)
            for text, question in (_TEMPLATES[kind][tongue],)
        )
        return twins(plain, changed, answer, wrong)
