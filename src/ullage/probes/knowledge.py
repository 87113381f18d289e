"""What every model has read: subjects and their one true value, to ask for and to contradict.

Values of one relation are all of the same kind, so that any other is a plausible wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """Subjects with their values, and the ways to ask for one."""

    name: str
    questions: tuple[str, str]
    """Two wordings; ``{s}`` is the subject."""
    statement: str
    """``The capital of {s} is {v}.``"""
    pairs: tuple[tuple[str, str], ...]
    """(subject, value)."""

    @property
    def values(self) -> tuple[str, ...]:
        """Every value once."""
        return tuple(dict.fromkeys(value for _, value in self.pairs))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """``France=Paris, Italy=Rome`` as pairs."""
    return tuple(
        (subject.strip(), value.strip())
        for subject, value in (pair.split("=") for pair in text.replace("\n", " ").split(","))
    )


RELATIONS = (
    Relation(
        "capital",
        ("What is the capital of {s}?", "Which city is the capital of {s}?"),
        "The capital of {s} is {v}.",
        _pairs("""France=Paris, Italy=Rome, Spain=Madrid, Germany=Berlin, Austria=Vienna,
        Poland=Warsaw, Greece=Athens, Portugal=Lisbon, Norway=Oslo, Sweden=Stockholm,
        Finland=Helsinki, Denmark=Copenhagen, Ireland=Dublin, Hungary=Budapest, Japan=Tokyo,
        China=Beijing, Egypt=Cairo, Kenya=Nairobi, Cuba=Havana, Peru=Lima, Russia=Moscow"""),
    ),
    Relation(
        "continent",
        ("On which continent is {s}?", "Which continent does {s} belong to?"),
        "The country {s} is in {v}.",
        _pairs("""France=Europe, Italy=Europe, Poland=Europe, Norway=Europe, Greece=Europe,
        Kenya=Africa, Nigeria=Africa, Ghana=Africa, Morocco=Africa, Ethiopia=Africa, Japan=Asia,
        India=Asia, China=Asia, Thailand=Asia, Vietnam=Asia, Canada=North America,
        Mexico=North America, Brazil=South America, Peru=South America, Chile=South America,
        Argentina=South America"""),
    ),
    Relation(
        "language",
        ("Which language do most people in {s} speak?", "What is the main language of {s}?"),
        "Most people in {s} speak {v}.",
        _pairs("""France=French, Italy=Italian, Germany=German, Spain=Spanish, Mexico=Spanish,
        Brazil=Portuguese, Japan=Japanese, China=Chinese, Russia=Russian, Greece=Greek,
        Poland=Polish, Sweden=Swedish, Denmark=Danish, Turkey=Turkish, Hungary=Hungarian,
        Finland=Finnish, Egypt=Arabic, Australia=English, Austria=German, Argentina=Spanish"""),
    ),
    Relation(
        "currency",
        ("Which currency is used in {s}?", "What is the money of {s} called?"),
        "The money of {s} is called the {v}.",
        _pairs("""Japan=yen, India=rupee, China=yuan, Russia=ruble, Mexico=peso, Germany=euro,
        Italy=euro, Poland=zloty, Turkey=lira, Switzerland=franc, Thailand=baht, Sweden=krona,
        Israel=shekel, Canada=dollar, Australia=dollar, South Korea=won, Vietnam=dong,
        South Africa=rand, Hungary=forint, Brazil=real"""),
    ),
    Relation(
        "colour",
        ("What is the usual colour of {s}?", "Which colour does {s} usually have?"),
        "The usual colour of {s} is {v}.",
        _pairs("""grass=green, snow=white, coal=black, blood=red, milk=white, a ripe banana=yellow,
        a lemon=yellow, a carrot=orange, chocolate=brown, a ripe tomato=red, a cucumber=green,
        a flamingo=pink, a polar bear=white, a crow=black, a strawberry=red, spinach=green,
        a pumpkin=orange, a frog=green, a clear sky=blue, an aubergine=purple"""),
    ),
    Relation(
        "young",
        ("What is a young {s} called?", "Which word is used for a young {s}?"),
        "The word for a young {s} is {v}.",
        _pairs("""dog=puppy, cat=kitten, cow=calf, sheep=lamb, horse=foal, goat=kid, bear=cub,
        lion=cub, tiger=cub, pig=piglet, duck=duckling, goose=gosling, swan=cygnet, owl=owlet,
        kangaroo=joey, frog=tadpole, elephant=calf, whale=calf, eagle=eaglet, hare=leveret"""),
    ),
    Relation(
        "opposite",
        ('What is the opposite of "{s}"?', 'Which word means the opposite of "{s}"?'),
        'The opposite of "{s}" is "{v}".',
        _pairs("""hot=cold, big=small, up=down, fast=slow, old=young, rich=poor, dark=light,
        open=closed, full=empty, happy=sad, smooth=rough, wet=dry, loud=quiet, early=late,
        strong=weak, high=low, long=short, clean=dirty, near=far, thick=thin"""),
    ),
    Relation(
        "workplace",
        ("Where does a {s} usually work?", "What is the usual place of work of a {s}?"),
        "The usual place of work of a {s} is the {v}.",
        _pairs("""teacher=school, nurse=hospital, chef=kitchen, farmer=farm, judge=court,
        librarian=library, baker=bakery, miner=mine, banker=bank, mechanic=garage,
        hairdresser=salon, surgeon=hospital, sailor=ship, zookeeper=zoo, curator=museum,
        pilot=cockpit, scientist=laboratory, lifeguard=beach, monk=monastery,
        soldier=barracks"""),
    ),
    Relation(
        "author",
        ('Who wrote "{s}"?', 'Which writer is the author of "{s}"?'),
        'The author of "{s}" is {v}.',
        _pairs("""Hamlet=Shakespeare, Macbeth=Shakespeare, Oliver Twist=Dickens,
        War and Peace=Tolstoy, Anna Karenina=Tolstoy, Emma=Austen, The Odyssey=Homer,
        The Iliad=Homer, Don Quixote=Cervantes, Faust=Goethe, The Raven=Poe, Dracula=Stoker,
        Frankenstein=Shelley, Moby Dick=Melville, The Hobbit=Tolkien, Animal Farm=Orwell,
        Tom Sawyer=Twain, Peter Pan=Barrie, Jane Eyre=Bronte, Robinson Crusoe=Defoe"""),
    ),
    Relation(
        "purpose",
        ("What does one mainly use a {s} for?", "Which task is a {s} mainly made for?"),
        "A {s} is mainly made for {v}.",
        _pairs("""pen=writing, knife=cutting, broom=sweeping, fridge=keeping food cold,
        piano=playing music, spade=digging, bed=sleeping, bicycle=riding, needle=sewing,
        telescope=looking at stars, paintbrush=painting, hammer=hitting nails, towel=drying,
        camera=taking pictures, key=opening locks, scale=weighing,
        ruler=drawing straight lines, fork=eating, thermometer=reading temperatures,
        kettle=boiling water"""),
    ),
)

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": ("horse", "rabbit", "tiger", "goat", "snake", "eagle", "dolphin", "sheep", "wolf",
               "monkey", "camel", "turtle", "lizard", "zebra"),
    "fruit": ("apple", "banana", "pear", "cherry", "plum", "mango", "grape", "peach", "melon",
              "lemon", "apricot", "papaya", "raspberry", "fig"),
    "tool": ("hammer", "saw", "wrench", "drill", "pliers", "screwdriver", "chisel", "axe",
             "shovel", "rake", "crowbar", "sander"),
    "vehicle": ("bus", "truck", "tram", "van", "bicycle", "taxi", "scooter", "tractor", "ferry",
                "helicopter", "motorbike", "ambulance"),
    "piece of clothing": ("shirt", "jacket", "scarf", "sock", "glove", "skirt", "sweater", "hat",
                          "coat", "dress", "vest", "trousers"),
    "piece of furniture": ("chair", "table", "sofa", "desk", "wardrobe", "bookcase", "bench",
                           "stool", "armchair", "cupboard", "dresser", "cabinet"),
    "musical instrument": ("piano", "violin", "flute", "trumpet", "guitar", "cello", "harp",
                           "clarinet", "saxophone", "trombone", "banjo", "oboe"),
}  # fmt: skip

WORDS = tuple(word for members in CATEGORIES.values() for word in members)
"""The members of all categories."""


def with_article(noun: str) -> str:
    """``an apple``, ``a pear``; a plural takes none."""
    if noun.endswith("s") and not noun.endswith("ss") and noun not in ("bus",):
        return noun
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"
