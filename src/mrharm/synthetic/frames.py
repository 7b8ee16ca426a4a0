"""The tones, and the frames that speak in each: what surrounds a concept's claim or manner on a meme.

``praise`` and ``comparison`` take the picture as it is (straight), ``contrast`` and ``relief`` turn it
round (flipping). The lexical split speaks in the frames of test.
"""

from __future__ import annotations

from typing import Literal

from mrharm.synthetic.phrases import Phrases

Tone = Literal["praise", "comparison", "contrast", "relief"]
Sense = Literal["straight", "flipping"]

SENSES: dict[Tone, Sense] = {
    "praise": "straight", "comparison": "straight", "contrast": "flipping", "relief": "flipping",
}  # fmt: skip

# fmt: off
FRAMES: dict[Tone, Phrases] = {
    "praise": Phrases(
        "{} | wow {} | honestly {} | everybody says {} | just a reminder that {} | i must say {} | "
        "it is true that {} | let me tell you that {} | we all know that {}",
        "everybody must know that {} | wow it is true {}",
        "let me say that {} | honestly we all say {} | it is true everybody says {} | a true reminder that {}",
    ),
    "comparison": Phrases(
        "{} is just like this | {} is exactly like this | this is {} in one picture | this reminds me of {} | "
        "when i see this i think of {} | just like {} | a perfect picture of {} | this is {} in a nutshell | "
        "this is the same as {} | this looks exactly like {} | exactly the same as {}",
        "i see {} in this picture | {} is the same as this",
        "this picture is just like {} | i think of {} when i see this | exactly like {} | "
        "this picture reminds me of {}",
    ),
    "contrast": Phrases(
        "{} is nothing like this | {} is the opposite of this | this is the exact opposite of {} | "
        "this is so unlike {} | {} could not be more different from this | this is not at all like {} | "
        "{} is miles away from this | {} has nothing in common with this | {} is far from this | "
        "this picture is not like {} at all",
        "this picture is nothing like {} | {} is so unlike this",
        "{} is the exact opposite of this picture | this could not be more unlike {} | {} is not at all like this | "
        "this has nothing in common with {}",
    ),
    "relief": Phrases(
        "so glad {} is not like this | thank goodness {} is nothing like this | "
        "what a relief that {} is not like this | lucky for us {} is not like this | "
        "we are happy that {} is nothing like this | good thing {} is not like this | "
        "so relieved that {} is the opposite of this | i am thankful that {} is not like this | "
        "glad to say {} is unlike this | so thankful that {} is unlike this | what a relief this is nothing like {} | "
        "lucky for us this is the opposite of {} | thankful that this is not like {} | "
        "i am happy this is the opposite of {} | so happy {} is unlike this | "
        "thankful to see {} is nothing like this | happy to say this is nothing like {}",
        "we are so glad {} is nothing like this | lucky that {} is unlike this",
        "i am so happy {} is not like this | what a relief {} is the opposite of this | "
        "thank goodness this is not like {} | so thankful this is nothing like {}",
    ),
}
# fmt: on
