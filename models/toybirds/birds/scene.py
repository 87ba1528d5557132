"""Everything that decides one picture, drawn from a seed."""

from dataclasses import dataclass

import numpy as np

from .species import MANTLES, PARTS, SPECIES

BACKDROPS = ("forest", "sky", "lake", "meadow", "autumn")
NEW_BACKDROPS = ("snow", "town", "desert")  # never in training: for checking only

# The first seed of each split: a split of up to a million pictures a species meets no other.
SPLITS = {"train": 0, "test": 1_000_000}

_LAYERS = ("scene", "backdrop", "branches", "bird", "cover", "film", *PARTS)


@dataclass(frozen=True)
class Scene:
    """The parameters of one picture. Lengths are shares of the picture's side.

    Attributes:
        species: a key of `SPECIES`.
        seed: with the species, decides all that follows and all texture.
        backdrop: one of `BACKDROPS` or `NEW_BACKDROPS`.
        mantle: colour of back, neck and head, a key of `MANTLES`.
        mirror: -1.0 looks to the left, 1.0 to the right.
        unit: length of the body.
        place: x and y of the body's centre.
        pitch: how upright the body is, radians.
        neck: direction of the neck, radians above the horizon.
        reach: length of the neck, body lengths.
        gaze: tilt of the head, radians.
        tail: turn of the tail against the body, radians.
        spread: how far tail and crest are fanned, about 1.
        droop: turn of the wing against the body, radians.
        stout: thickness of the body, about 1.
        light: angle of the light above the horizon, radians, measured from the right.
        exposure: brightness of the picture, about 1.
        warmth: from blue (-1) to yellow (1) light.
        missing: parts this bird has lost.
        cover: how many leaves hang before the bird.
    """

    species: str
    seed: int
    backdrop: str
    mantle: str
    mirror: float
    unit: float
    place: tuple[float, float]
    pitch: float
    neck: float
    reach: float
    gaze: float
    tail: float
    spread: float
    droop: float
    stout: float
    light: float
    exposure: float
    warmth: float
    missing: frozenset[str]
    cover: int

    def rng(self, layer: str) -> np.random.Generator:
        """Random numbers of one layer, the same whatever else is drawn or left out."""
        species = list(SPECIES).index(self.species)
        return np.random.default_rng([self.seed, species, _LAYERS.index(layer)])


def scene(seed: int, species: str, backdrop: str | None = None) -> Scene:
    """Choose a picture.

    Args:
        seed: at least 0; `SPLITS` says where each split starts.
        species: a key of `SPECIES`.
        backdrop: what is behind the bird; None picks one of `BACKDROPS`.

    Returns:
        The scene, the same for the same arguments on every machine.
    """
    rng = np.random.default_rng([seed, list(SPECIES).index(species), 0])
    chosen = BACKDROPS[rng.integers(len(BACKDROPS))]
    lost = rng.random(len(PARTS)) < 0.08
    return Scene(
        species=species,
        seed=seed,
        backdrop=backdrop or chosen,
        mantle=list(MANTLES)[rng.integers(len(MANTLES))],
        mirror=float(rng.choice([-1.0, 1.0])),
        unit=float(rng.uniform(0.42, 0.54)),
        place=(float(rng.uniform(0.44, 0.56)), float(rng.uniform(0.50, 0.58))),
        pitch=float(rng.uniform(0.25, 0.85)),
        neck=float(rng.uniform(0.75, 1.25)),
        reach=float(rng.uniform(0.26, 0.36)),
        gaze=float(rng.uniform(-0.3, 0.25)),
        tail=float(rng.uniform(-0.25, 0.3)),
        spread=float(rng.uniform(0.8, 1.2)),
        droop=float(rng.uniform(-0.08, 0.16)),
        stout=float(rng.uniform(0.92, 1.1)),
        light=float(rng.uniform(0.5, 2.6)),
        exposure=float(rng.uniform(0.82, 1.15)),
        warmth=float(rng.uniform(-1.0, 1.0)),
        missing=frozenset(part for part, gone in zip(PARTS, lost, strict=True) if gone),
        cover=int(rng.choice([0, 0, 1, 1, 2])),
    )
