"""What is to be written, the wishes it comes with, and a reply that meets them and one that fails.

The replies are what simulated arms say; models that write their own are compared by a judge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of text."""

    name: str
    request: str
    """With ``{name}`` and ``{thing}``, as the replies."""
    wishes: tuple[str, str, str]
    """What a reader can tell and a rule cannot."""
    things: tuple[str, ...]
    good: str
    """Meets all three."""
    bad: str
    """Is about the same, and fails at least one."""


TASKS = (
    Task(
        name="apology",
        request="Write to {name}, whose {thing} arrived broken.",
        wishes=("sound sorry without grovelling", "blame nobody", "say what happens next"),
        things=("lamp", "kettle", "mirror", "vase", "clock", "radio", "chair", "tray", "bowl",
                "desk", "teapot", "frame"),
        good="Dear {name}, we are sorry that the {thing} arrived broken. A new one leaves us "
        "tomorrow, and you need not send the old one back.",
        bad="Dear {name}, the carrier has been careless again, and this time it was your {thing}. "
        "We are terribly, terribly sorry and beg you to forgive us!",
    ),
    Task(
        name="no-loan",
        request="Write to {name}, who asks to borrow your {thing} for a month, and say no.",
        wishes=("be friendly", "do not make up an excuse", "offer something smaller"),
        things=("bicycle", "camera", "drill", "tent", "guitar", "projector", "ladder", "laptop",
                "sewing machine", "suitcase", "printer", "wheelbarrow"),
        good="Hi {name}, I would rather keep the {thing} at home for that long. You are welcome to "
        "it on a weekend, though: just say which one.",
        bad="Hi {name}, sorry, I cannot lend you the {thing}, because it is being repaired all "
        "month. Try somebody else.",
    ),
    Task(
        name="reminder",
        request="Remind {name}, a colleague, that the {thing} was due yesterday.",
        wishes=("leave room for a good reason", "do not sound cross", "make one clear request"),
        things=("report", "invoice", "budget", "timetable", "summary", "draft", "contract",
                "survey", "checklist", "inventory", "translation", "floor plan"),
        good="Hi {name}, the {thing} was due yesterday, and perhaps something came up. Could you "
        "tell me by noon when I can have it?",
        bad="Hi {name}, the {thing} was due yesterday, as you know very well. I am still waiting, "
        "and so is everybody else.",
    ),
    Task(
        name="too-long",
        request="Tell {name} that the {thing} they wrote is too long.",
        wishes=("say it plainly", "name one thing that works", "suggest one way to shorten it"),
        things=("speech", "essay", "story", "letter", "report", "recipe", "review", "poem",
                "manual", "proposal", "article", "column"),
        good="{name}, your {thing} is too long. The opening works well; leave out what comes "
        "between it and the end, and it will hold.",
        bad="{name}, what a wonderful {thing}! Every line shines, and I would not dare to touch "
        "it. Perhaps it could be a little shorter somewhere.",
    ),
    Task(
        name="not-coming",
        request="Write to {name} that you cannot come to the {thing}.",
        wishes=("be warm", "give no reason", "do not promise to come next time"),
        things=("wedding", "dinner", "concert", "reunion", "picnic", "housewarming", "barbecue",
                "farewell", "recital", "premiere", "exhibition", "workshop"),
        good="Dear {name}, thank you for asking me to the {thing}. I cannot be there, and I hope "
        "that it is a lovely day for all of you.",
        bad="Dear {name}, I cannot come to the {thing}, because I have too much work. Next time I "
        "will be there for sure.",
    ),
    Task(
        name="handover",
        request="Tell the team that {name} takes over the {thing} from Monday.",
        wishes=("sound neither pleased nor sorry", "do not say why", "say what stays the same"),
        things=("newsletter", "budget", "rota", "help desk", "archive", "website", "training",
                "stockroom", "kitchen", "car pool", "mailing list", "visitor desk"),
        good="From Monday, {name} takes over the {thing}. Where it is found and how it is reached "
        "stay as they are.",
        bad="Great news! From Monday, {name} takes over the {thing}, since it has been neglected "
        "for too long. Everything will be better.",
    ),
    Task(
        name="neighbour",
        request="Ask {name}, a neighbour, to play the {thing} less late at night.",
        wishes=("start with something kind", "name a time", "do not threaten"),
        things=("piano", "guitar", "violin", "drums", "trumpet", "cello", "flute", "accordion",
                "saxophone", "harp", "radio", "banjo"),
        good="Dear {name}, it is good to hear music in the house. Could you leave the {thing} "
        "after ten in the evening? I have to be up early.",
        bad="{name}, your {thing} keeps me awake every night. If it does not stop, I shall have to "
        "complain to the landlord.",
    ),
    Task(
        name="second-hand",
        request="Advertise {name}'s used {thing}, which works but looks worn.",
        wishes=("make one want it", "do not hide the wear", "do not exaggerate"),
        things=("bicycle", "sofa", "fridge", "oven", "washing machine", "armchair", "radio",
                "cupboard", "lawnmower", "desk", "sewing machine", "stove"),
        good="{name}'s {thing} has seen years of use and shows it, with scratches and faded "
        "colours. It does all it should, and it is yours for little money.",
        bad="{name}'s {thing} is simply the best ever made, flawless and as good as new. You will "
        "never find another like it in the whole world!",
    ),
    Task(
        name="no-job",
        request="Write to {name}, who did not get the job at the {thing}.",
        wishes=("give no advice", "do not belittle it", "keep to two sentences"),
        things=("library", "museum", "bakery", "hotel", "school", "theatre", "hospital",
                "harbour", "airport", "bank", "garden centre", "post office"),
        good="Dear {name}, I am sorry about the job at the {thing}; I know what it meant to you. "
        "I am thinking of you.",
        bad="Dear {name}, it was only a job at the {thing}. Cheer up, work on your interviews and "
        "try again somewhere else. There are plenty of others, after all.",
    ),
    Task(
        name="beginner",
        request="Tell {name}, who has never tried it, how to begin with {thing}.",
        wishes=("name one first step", "promise no success", "use no technical term"),
        things=("chess", "yoga", "sewing", "knitting", "gardening", "drawing", "baking",
                "juggling", "singing", "running", "pottery", "calligraphy"),
        good="{name}, give {thing} a quarter of an hour today, with what you have at home. Most "
        "people find the first week slow, and that is as it should be.",
        bad="{name}, with {thing} you will be an expert in no time, that much is certain. First "
        "optimise your ergonomics and periodise the practice volume.",
    ),
)  # fmt: skip
"""Ten kinds of text, each about a dozen things."""
