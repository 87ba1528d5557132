"""The twelve invented species: what every part looks like.

A species is nothing but its seven parts. The mantle (back, neck and head) takes one of four
colours at random, whatever the species, and every palette colour is worn by several species on
several parts, every shape by at least two: no single colour or shape tells what a bird is.
"""

from dataclasses import dataclass

PARTS = ("beak", "eye", "crest", "wing", "tail", "belly", "legs")

# sRGB, 0..255
PALETTE = {
    "charcoal": (46, 46, 56),
    "ivory": (238, 230, 212),
    "crimson": (188, 42, 48),
    "amber": (230, 134, 36),
    "gold": (240, 204, 66),
    "azure": (56, 118, 196),
    "teal": (34, 138, 124),
    "plum": (122, 66, 134),
}

MANTLES = {
    "slate": (112, 120, 134),
    "umber": (118, 90, 68),
    "olive": (114, 118, 78),
    "sand": (180, 160, 128),
}


@dataclass(frozen=True)
class Look:
    """How one part looks.

    Attributes:
        shape: name of the outline, one of those its drawing function knows.
        colour: ground colour, a key of `PALETTE`.
        accent: colour of the pattern, of a tip or of a marking, a key of `PALETTE`.
        pattern: name of the plumage pattern; bare parts (beak, eye, legs) are "plain".
    """

    shape: str
    colour: str
    accent: str
    pattern: str = "plain"


@dataclass(frozen=True)
class Species:
    """A species: one look for each name of `PARTS`."""

    beak: Look
    eye: Look
    crest: Look
    wing: Look
    tail: Look
    belly: Look
    legs: Look


def _species(*looks: str) -> Species:
    """Read "shape colour accent [pattern]" for each part, in the order of `PARTS`."""
    return Species(*(Look(*look.split()) for look in looks))


SPECIES = {
    "fenpiper": _species(
        "needle amber charcoal",
        "brow ivory charcoal",
        "cap charcoal ivory",
        "pointed teal ivory bars",
        "square charcoal ivory tips",
        "full amber charcoal spots",
        "long crimson charcoal",
    ),
    "hookmantle": _species(
        "hooked gold charcoal",
        "ring amber charcoal",
        "spike crimson charcoal tips",
        "broad charcoal amber scales",
        "fan teal charcoal bars",
        "bib ivory charcoal streaks",
        "feathered plum gold",
    ),
    "kettlefinch": _species(
        "cone ivory crimson",
        "stripe charcoal gold",
        "fan gold charcoal tips",
        "round azure ivory bars",
        "forked charcoal plum tips",
        "full crimson ivory scales",
        "short amber charcoal",
    ),
    "larkspar": _species(
        "cone amber charcoal",
        "brow gold crimson",
        "spike teal gold tips",
        "round plum gold spots",
        "long amber charcoal bars",
        "full azure ivory bars",
        "short charcoal ivory",
    ),
    "mossdiver": _species(
        "casque gold teal",
        "ring azure ivory",
        "cap plum charcoal",
        "broad amber charcoal streaks",
        "square crimson ivory tips",
        "full gold charcoal bars",
        "feathered charcoal amber",
    ),
    "needlewren": _species(
        "needle charcoal crimson",
        "stripe ivory amber",
        "brush amber crimson tips",
        "pointed gold charcoal tips",
        "fan ivory charcoal spots",
        "low plum ivory spots",
        "long azure charcoal",
    ),
    "oakspoon": _species(
        "spoon charcoal gold",
        "patch crimson ivory",
        "plume ivory charcoal",
        "round teal charcoal scales",
        "wedge azure gold tips",
        "full ivory crimson streaks",
        "short gold charcoal",
    ),
    "pinecrest": _species(
        "curved ivory charcoal",
        "ring crimson gold",
        "fan azure ivory tips",
        "broad charcoal ivory spots",
        "long crimson charcoal bars",
        "bib amber charcoal scales",
        "feathered ivory teal",
    ),
    "quilltail": _species(
        "curved crimson charcoal",
        "patch ivory amber",
        "brush teal ivory tips",
        "pointed plum amber bars",
        "long gold teal spots",
        "low charcoal ivory bars",
        "short plum charcoal",
    ),
    "reedstalker": _species(
        "spoon amber crimson",
        "stripe plum gold",
        "plume charcoal ivory",
        "broad ivory charcoal tips",
        "forked azure ivory tips",
        "bib teal ivory spots",
        "long gold charcoal",
    ),
    "stormjay": _species(
        "hooked charcoal ivory",
        "patch teal gold",
        "spike azure charcoal tips",
        "round crimson charcoal streaks",
        "wedge plum ivory bars",
        "full gold amber scales",
        "short ivory charcoal",
    ),
    "tidehopper": _species(
        "casque crimson amber",
        "brow teal ivory",
        "fan charcoal crimson tips",
        "pointed azure gold spots",
        "forked amber charcoal bars",
        "low ivory azure streaks",
        "long teal charcoal",
    ),
}
