"""Ten small worlds for generated contexts: things with a number, and what may be said of them.

Every value is a word that its own sentence, a list and a reply can hold as it stands, starts with
a consonant where an article precedes it, and names one thing only.
"""

from __future__ import annotations

from dataclasses import dataclass

CITIES = ("Lisbon", "Oslo", "Dublin", "Prague", "Vienna", "Bergen", "Turin", "Ghent", "Porto")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "purple", "pink")
FIRST_NAMES = (
    "Mara", "Jonas", "Petra", "Tomas", "Nadia", "Felix", "Clara", "Hugo", "Lena", "Marco",
    "Greta", "Pablo", "Sonja", "Victor", "Diana", "Leo", "Paula", "Simon", "Carla", "Boris",
    "Nina", "Peter", "Tanja", "Rafael", "Julia", "Stefan", "Marta", "David", "Laura", "Kasper",
)  # fmt: skip
DOCTORS = ("Keller", "Novak", "Santos", "Weber", "Murphy", "Rossi", "Larsen", "Fischer", "Brandt")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that may be said of an entity."""

    label: str
    """What a list calls it."""
    statement: str
    """A sentence, without its subject: ``was sent with {v}``."""
    question: str
    """Asks for it; ``{e}`` is the entity."""
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """A kind of entity and its attributes."""

    name: str
    noun: str
    attributes: tuple[Attribute, ...]


def _on(noun: str, *attributes: tuple[str, str, str, tuple[str, ...]], name: str) -> Domain:
    return Domain(name, noun, tuple(Attribute(*attribute) for attribute in attributes))


DOMAINS = (
    _on(
        "order",
        (
            "carrier",
            "was sent with {v}",
            "Which carrier took {e}?",
            (
                "Nordpost",
                "Velox",
                "Parcelo",
                "Swiftline",
                "Bluebird",
                "Kurio",
                "Fastway",
                "Octopost",
            ),
        ),
        (
            "payment",
            "was paid by {v}",
            "How was {e} paid?",
            ("card", "invoice", "cheque", "voucher", "bank transfer", "gift card"),
        ),
        ("city", "is going to {v}", "Which city is {e} going to?", CITIES),
        ("delivery day", "is due on {v}", "On which day is {e} due?", DAYS),
        (
            "content",
            "holds a {v}",
            "What does {e} hold?",
            ("lamp", "kettle", "mirror", "blanket", "guitar", "toaster", "vase", "helmet"),
        ),
        name="orders",
    ),
    _on(
        "book",
        ("borrower", "is lent to {v}", "Who has borrowed {e}?", FIRST_NAMES),
        (
            "topic",
            "is about {v}",
            "What is {e} about?",
            ("ships", "bees", "chess", "maps", "volcanoes", "trains", "mushrooms", "castles"),
        ),
        ("cover", "has a {v} cover", "What colour is the cover of {e}?", COLOURS),
        ("return day", "is due back on {v}", "On which day is {e} due back?", DAYS),
        (
            "language",
            "is written in {v}",
            "In which language is {e} written?",
            ("Polish", "Danish", "Greek", "Turkish", "Finnish", "Welsh", "Dutch", "Korean"),
        ),
        name="library",
    ),
    _on(
        "train",
        ("departure", "starts in {v}", "Where does {e} start?", CITIES),
        (
            "food",
            "serves {v}",
            "Which food does {e} serve?",
            ("soup", "sandwiches", "pancakes", "noodles", "salad", "waffles", "curry"),
        ),
        ("driver", "is driven by {v}", "Who drives {e}?", FIRST_NAMES),
        (
            "reason for the delay",
            "is late because of {v}",
            "Why is {e} late?",
            (
                "snow",
                "fog",
                "roadworks",
                "flooding",
                "lightning",
                "a broken signal",
                "a fallen tree",
            ),
        ),
        ("colour", "is painted {v}", "What colour is {e} painted?", COLOURS),
        name="trains",
    ),
    _on(
        "appointment",
        ("doctor", "is with Dr. {v}", "Which doctor is {e} with?", DOCTORS),
        ("day", "takes place on {v}", "On which day does {e} take place?", DAYS),
        (
            "reason",
            "was booked for {v}",
            "What was {e} booked for?",
            ("backache", "hay fever", "a cough", "migraine", "a blood test", "a sore knee"),
        ),
        ("booked by", "was booked by {v}", "Who booked {e}?", FIRST_NAMES),
        ("city", "is held in {v}", "In which city is {e} held?", CITIES),
        name="clinic",
    ),
    _on(
        "room",
        (
            "view",
            "looks out on the {v}",
            "What does {e} look out on?",
            ("harbour", "garden", "park", "castle", "market", "river", "vineyard"),
        ),
        ("guest", "is taken by {v}", "Who has taken {e}?", FIRST_NAMES),
        ("curtains", "has {v} curtains", "What colour are the curtains of {e}?", COLOURS),
        ("cleaning day", "is cleaned on {v}", "On which day is {e} cleaned?", DAYS),
        (
            "free drink",
            "comes with free {v}",
            "Which free drink does {e} come with?",
            ("coffee", "lemonade", "tea", "cider", "cocoa", "milk", "tonic"),
        ),
        name="hotel",
    ),
    _on(
        "plot",
        (
            "crop",
            "grows {v}",
            "What does {e} grow?",
            ("carrots", "beans", "potatoes", "pumpkins", "leeks", "radishes", "tomatoes", "peas"),
        ),
        (
            "soil",
            "has {v} soil",
            "What kind of soil does {e} have?",
            ("sandy", "clay", "chalky", "stony", "peaty", "loamy"),
        ),
        ("gardener", "is tended by {v}", "Who tends {e}?", FIRST_NAMES),
        ("watering day", "is watered on {v}", "On which day is {e} watered?", DAYS),
        ("fence", "has a {v} fence", "What colour is the fence of {e}?", COLOURS),
        name="garden",
    ),
    _on(
        "class",
        (
            "subject",
            "studies {v}",
            "What does {e} study?",
            ("music", "physics", "history", "biology", "geography", "chemistry", "drama"),
        ),
        ("teacher", "is taught by {v}", "Who teaches {e}?", FIRST_NAMES),
        (
            "trip",
            "is visiting a {v}",
            "What is {e} visiting?",
            ("museum", "farm", "lighthouse", "bakery", "theatre", "zoo", "mill", "power station"),
        ),
        ("trip day", "has its trip on {v}", "On which day does {e} have its trip?", DAYS),
        ("door", "meets behind the {v} door", "What colour is the door of {e}?", COLOURS),
        name="school",
    ),
    _on(
        "recipe",
        (
            "main ingredient",
            "is made with {v}",
            "What is the main ingredient of {e}?",
            ("lentils", "rice", "salmon", "spinach", "chicken", "tofu", "mushrooms", "barley"),
        ),
        (
            "herb",
            "is seasoned with {v}",
            "Which herb is {e} seasoned with?",
            ("basil", "parsley", "thyme", "dill", "mint", "rosemary", "sage"),
        ),
        (
            "origin",
            "comes from {v}",
            "Which country does {e} come from?",
            ("Peru", "Morocco", "Turkey", "Hungary", "Sweden", "Vietnam", "Mexico", "Greece"),
        ),
        ("cook", "was written by {v}", "Who wrote {e}?", FIRST_NAMES),
        ("menu day", "is on the menu on {v}", "On which day is {e} on the menu?", DAYS),
        name="kitchen",
    ),
    _on(
        "meeting",
        ("chair", "is led by {v}", "Who leads {e}?", FIRST_NAMES),
        (
            "topic",
            "is about {v}",
            "What is {e} about?",
            ("budgets", "hiring", "safety", "parking", "marketing", "training", "printers"),
        ),
        ("day", "takes place on {v}", "On which day does {e} take place?", DAYS),
        ("room", "is held in the {v} room", "What colour is the room of {e}?", COLOURS),
        (
            "snack",
            "comes with {v}",
            "Which snack does {e} come with?",
            ("biscuits", "grapes", "pretzels", "nuts", "muffins", "cheese", "bananas"),
        ),
        name="office",
    ),
    _on(
        "car",
        ("colour", "is painted {v}", "What colour is {e} painted?", COLOURS),
        (
            "fuel",
            "runs on {v}",
            "What does {e} run on?",
            ("petrol", "diesel", "hydrogen", "batteries", "natural gas", "biofuel"),
        ),
        ("place", "is parked in {v}", "In which city is {e} parked?", CITIES),
        ("driver", "is rented by {v}", "Who has rented {e}?", FIRST_NAMES),
        ("return day", "comes back on {v}", "On which day does {e} come back?", DAYS),
        name="rental",
    ),
)
