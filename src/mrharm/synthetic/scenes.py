"""The scenes: what a picture can show, how it is drawn and how a caption calls it; and one picture, drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from mrharm.synthetic import animals, things, views
from mrharm.synthetic.backdrops import RENDERINGS
from mrharm.synthetic.pen import Pen, Tint
from mrharm.synthetic.views import Look

# Shapes are drawn this many times larger and then averaged down: smooth edges from a plain polygon filler.
_FINE = 2


@dataclass(frozen=True)
class Scene:
    """What a picture shows. Exactly one of ``thing`` (put on a backdrop) and ``view`` (fills the picture) is there.

    ``names``: what captions call it, chosen by rendering.
    """

    names: tuple[str, ...]
    thing: Callable[[Pen], None] | None = None
    view: Callable[[Pen, Look], None] | None = None


SCENES: dict[str, Scene] = {
    "roses": Scene(("a bunch of red roses", "five red roses tied with a ribbon"), things.roses),
    "cake": Scene(("a pink birthday cake with candles", "a birthday cake of two tiers"), things.cake),
    "skunk": Scene(
        ("a black and white skunk with its tail up", "a skunk in a cloud of green smell"), animals.skunk
    ),
    "garbage": Scene(("a full trash can with flies", "garbage spilling from a can"), things.garbage),
    "toast": Scene(("a slice of burnt toast", "black toast smoking on a plate"), things.toast),
    "crowd": Scene(("a cheering crowd", "a crowd of people with their arms up"), view=views.crowd),
    "heart": Scene(("three red heart balloons", "heart balloons on strings"), things.heart),
    "desert": Scene(("an empty desert with a cactus", "desert sand and a skull"), view=views.desert),
    "chairs": Scene(("rows of empty red chairs", "a hall of empty chairs"), view=views.chairs),
    "scarecrow": Scene(("a ragged scarecrow", "a scarecrow in a patched coat"), things.scarecrow),
    "trophy": Scene(("a golden trophy", "a gold trophy with a star"), things.trophy),
    "songbird": Scene(("a blue songbird on a branch", "a songbird singing notes"), animals.songbird),
    "donkey": Scene(("a braying donkey", "a donkey showing its teeth"), animals.donkey),
    "lion": Scene(("a roaring lion", "the face of a lion with a wide mane"), animals.lion),
    "rocket": Scene(("a rocket at full burn", "a white and red rocket"), things.rocket),
    "race_car": Scene(("a yellow race car", "a race car at speed"), things.race_car),
    "storm": Scene(("a storm with lightning", "black storm clouds and rain"), view=views.storm),
    "snail": Scene(("a snail with a brown shell", "a snail on its trail of slime"), animals.snail),
    "snowman": Scene(("a snowman with a hat and a scarf", "a snowman in the snow"), things.snowman),
    "elephant": Scene(("a huge grey elephant", "an elephant with tusks"), animals.elephant),
    "wall": Scene(("a brick wall", "a wall of red bricks"), view=views.wall),
    "mouse": Scene(("a tiny grey mouse", "a mouse beside some cheese"), animals.mouse),
    "wilted": Scene(("a wilted flower in a pot", "a dead flower hanging from its pot"), things.wilted),
    "bookshelf": Scene(("a neat bookshelf", "a shelf of books in tidy rows"), view=views.bookshelf),
    "gem": Scene(("a sparkling diamond", "a large blue diamond"), things.gem),
    "scribble": Scene(("a wild scribble on paper", "a sheet of paper covered in scribble"), things.scribble),
    "sun": Scene(("a big smiling sun", "a yellow sun with rays"), view=views.sun),
    "swan": Scene(("a white swan on the water", "a swan with a curved neck"), animals.swan),
    "dolphin": Scene(("a leaping dolphin", "a dolphin over a wave"), animals.dolphin),
    "peacock": Scene(("a peacock with its tail spread", "a blue and green peacock"), animals.peacock),
    "crash": Scene(("a crashed car against a tree", "a blue car wrecked on a tree"), things.crash),
    "ship": Scene(("a sinking ship", "a ship going down in the sea"), view=views.ship),
    "rainbow": Scene(("a rainbow between two clouds", "a whole rainbow in the sky"), view=views.rainbow),
}


def describe_scene(scene: str, rendering: int) -> str:
    """Return a true description of the picture; it depends on scene and rendering alone."""
    names = SCENES[scene].names
    style = RENDERINGS[rendering]
    return f"{names[(rendering // 2) % len(names)]} {style.light if SCENES[scene].view else style.setting}"


def draw_picture(
    scene: str, rendering: int, size: tuple[int, int], free: tuple[float, float], rng: random.Random
) -> Image.Image:
    """Draw a picture of ``size`` (width, height) pixels without any text, as RGB.

    ``free``: the band (top, bottom), as shares of the height, that the text will leave free; the key things lie in it.
    """
    width, height = size[0] * _FINE, size[1] * _FINE
    image = Image.new("RGB", (width, height))
    style, what = RENDERINGS[rendering], SCENES[scene]
    tint = Tint(rng.uniform(-0.018, 0.018), rng.uniform(0.9, 1.06), rng.uniform(0.85, 1.1))
    top, bottom = free[0] * height, free[1] * height
    x, y, half = width / 2, (top + bottom) / 2, min(width, bottom - top) / 2
    mirror = style.mirror != (rng.random() < 0.2)

    def look(centre: float, scale: float) -> Look:
        return Look(
            width / 2 / scale + 0.02, -centre / scale - 0.02, (height - centre) / scale + 0.02,
            style.sky, style.ground, rendering,
        )  # fmt: skip

    if what.view is not None:
        scale = half * rng.uniform(0.88, 1.0)
        what.view(Pen(image, x, y, scale, rng, tint, mirror), look(y, scale))
    elif what.thing is not None:
        # A backdrop's colours are drawn at will; only the thing keeps its own.
        style.backdrop(Pen(image, x, y, half, rng, tint, mirror), look(y, half))
        room_x, room_y = width / 2, (bottom - top) / 2
        for across, down, share in style.places:
            scale = min(half * share * rng.uniform(0.9, 1.04), min(room_x, room_y * 1.1))
            slack = max(0.0, room_x - scale), max(0.0, room_y - scale)
            spot_x = x + max(-slack[0], min(slack[0], across * room_x + rng.uniform(-0.12, 0.12) * half))
            spot_y = y + max(-slack[1], min(slack[1], down * room_y + rng.uniform(-0.06, 0.06) * half))
            tilt = style.tilt + rng.uniform(-0.07, 0.07)
            what.thing(Pen(image, spot_x, spot_y, scale, rng, tint, mirror, tilt))
    return image.reduce(_FINE)
