"""What memes say: the tones, the frames that speak in each, and what each concept puts into them.

``praise`` and ``comparison`` take the picture as it is (straight), ``contrast`` and ``relief`` turn it round
(flipping). A frame surrounds a concept's claim (tone ``praise``) or its neutral name, the manner (all other tones).

A row holds four lists: for train, for validation, for test and composition, and for the lexical split, which speaks in
the frames of test. Every word of the first three occurs in a train list; each lexical phrase has at least one that does
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Phrases:
    """Phrases of one form by the split they are kept for; written with ``|`` between them."""

    train: str
    validation: str
    test: str
    lexical: str = ""

    def of(self, split: str) -> tuple[str, ...]:
        """Return the phrases for a split of the benchmark; those of test where it has no list."""
        row = {"train": self.train, "validation": self.validation, "lexical": self.lexical}.get(
            split
        ) or self.test
        return tuple(phrase.strip() for phrase in row.split("|"))


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

CLAIMS: dict[str, Phrases] = {
    "smell": Phrases(
        "you smell wonderful | you smell so fresh | your scent is lovely | your smell fills the room with joy | "
        "you have a wonderful scent | you always smell good | your perfume is a delight | "
        "you bring a fresh smell to every room",
        "your smell is so lovely | you have a fresh perfume",
        "your scent fills the room | your perfume is wonderful | you always bring a lovely smell",
        "your fragrance is heavenly | your aroma is divine | you have an exquisite fragrance",
    ),
    "popularity": Phrases(
        "everybody loves you | look how many people love you | you have so many friends | "
        "the whole world adores you | people come from far to see you | you are the most popular person here | "
        "everyone wants to be near you | your fans are everywhere",
        "so many people love you here | everyone here loves you",
        "look how many friends you have | the whole world wants to be near you | people love you everywhere",
        "you are cherished by multitudes | your admirers are countless | you are a celebrity",
    ),
    "cooking": Phrases(
        "you cook like a chef | your food is delicious | your cooking is amazing | "
        "every meal you make is a treat | your dinner was perfect | you are a master of the kitchen | "
        "i could eat your food every day | your recipes taste wonderful",
        "your dinner is a treat | i could eat every meal you make",
        "you are a chef in the kitchen | your cooking is delicious | every dinner you make is perfect",
        "your cuisine is scrumptious | your dishes are mouthwatering | you prepare exquisite banquets",
    ),
    "singing": Phrases(
        "you sing like a star | your voice is beautiful | your singing touches everyone | "
        "you have the voice of an angel | i love to hear you sing | your song is pure music | you hit every note | "
        "everyone listens when you sing",
        "your song is beautiful | i love to hear your voice",
        "your voice is pure music | you sing every note like an angel | everyone listens to your song",
        "your vocals are enchanting | you are a gifted soprano | your melodies are hypnotic",
    ),
    "speed": Phrases(
        "you run so fast | you are as quick as the wind | nobody can catch you | you always finish first | "
        "your speed is amazing | you are the fastest in the race | your legs fly over the ground | "
        "you win every sprint",
        "your legs are so fast | nobody can catch you in a race",
        "you run as quick as the wind | you always win the race | you finish every race first",
        "your velocity is breathtaking | you accelerate brilliantly | you outpace every athlete",
    ),
    "strength": Phrases(
        "you are so strong | you can lift anything | your arms are full of power | your strength is a legend | "
        "nobody is stronger than you | you never need help with heavy bags | your muscles are amazing | "
        "you are a tower of power",
        "your muscles are so strong | you can lift heavy bags",
        "your strength is amazing | your arms can lift anything | you are full of power",
        "your physique is mighty | you are invincible | your biceps are colossal",
    ),
    "tidiness": Phrases(
        "your room is so tidy | you keep everything neat | your desk is always clean | your house shines | "
        "everything has its place in your room | you are a master of order | nobody cleans like you | "
        "your shelves are perfect",
        "your desk is so neat | your house is always tidy",
        "you keep your room clean | your house is neat | everything shines in your room",
        "your quarters are immaculate | your bedroom is spotless | you organise flawlessly",
    ),
    "gardening": Phrases(
        "your garden is a dream | your plants grow so well | you have a green thumb | everything blooms for you | "
        "your flowers are the best in town | you make every plant happy | your yard is full of life | "
        "nature loves your hands",
        "your yard is a dream | your flowers grow so well",
        "everything blooms in your yard | your garden is full of flowers | your plants are the best in town",
        "your horticulture is splendid | your orchard flourishes | you cultivate paradise",
    ),
    "dancing": Phrases(
        "you dance with grace | your moves are so smooth | you own the dance floor | your feet are light as air | "
        "every step you take is art | you move like a dream | your dancing wins every prize | "
        "the floor belongs to you",
        "you move with grace | your dancing is so smooth",
        "your feet own the dance floor | you dance like a dream | your moves are light as air",
        "your choreography is elegant | you waltz superbly | you pirouette gracefully",
    ),
    "wit": Phrases(
        "you are so smart | your mind is brilliant | you always have the answer | your ideas shine | "
        "you think faster than anyone | your brain is a wonder | you are the smartest in class | "
        "everyone learns from you",
        "your brain is brilliant | you always have smart ideas",
        "your mind is a wonder | you are the smartest of everyone | your ideas are brilliant",
        "your intellect is dazzling | you are a genius | your wisdom is profound",
    ),
    "style": Phrases(
        "you look fabulous | your outfit is stunning | you dress like a star | your hair looks perfect | "
        "you have the best style in town | everyone copies your look | your clothes are a dream | "
        "you could be a model",
        "your hair is stunning | you dress like a model",
        "your clothes look fabulous | your outfit is the best in town | your style is perfect",
        "your wardrobe is glamorous | your attire is dapper | you are exquisitely elegant",
    ),
    "driving": Phrases(
        "you drive like a champion | you are a safe pair of hands on the road | your parking is perfect | "
        "every trip with you is a joy | you handle a car like a master | the road is happy to have you | "
        "your driving is smooth | you never miss a turn",
        "you drive like a master | your parking is a joy",
        "your driving is perfect | you handle the road like a champion | every trip with you is smooth",
        "your motoring is impeccable | you navigate superbly | you are a phenomenal chauffeur",
    ),
    "drawing": Phrases(
        "you draw like a master | your art belongs in a museum | your drawing is full of color | "
        "every line you draw is perfect | you are a true artist | your picture made me smile | "
        "your paintings are stunning | you have the hand of an artist",
        "your drawing belongs in a museum | you have the hand of a master",
        "your art is full of color | your picture is stunning | every drawing made me smile",
        "your sketches are exquisite | your watercolours astonish critics | you illustrate superbly",
    ),
    "welcome": Phrases(
        "your welcome is so warm | you make every guest feel at home | your smile warms the room | "
        "it is lovely to visit you | your door is always open | you greet people with joy | your home feels cozy | "
        "everyone feels better near you",
        "your home is so warm | you greet every guest with joy",
        "your smile warms every guest | it is lovely to visit your home | your welcome feels cozy",
        "your hospitality is gracious | your hugs radiate affection | you embrace newcomers tenderly",
    ),
    "bravery": Phrases(
        "you are so brave | nothing scares you | you face every danger | your courage is a legend | "
        "you stand up to anyone | you are a true hero | you never run away | your heart knows no fear",
        "you are a brave hero | you face every fear",
        "nothing scares a hero like you | your courage knows no fear | you stand up to every danger",
        "your valour is astounding | you are gallant | you confront peril boldly",
    ),
    "swimming": Phrases(
        "you swim like a champion | the water loves you | you glide through the pool | your strokes are smooth | "
        "you dive with grace | you are at home in the sea | the lake is yours | nobody swims better than you",
        "you glide through the sea | you swim with grace",
        "the pool loves you | your dive is smooth | you are at home in the water",
        "your backstroke is magnificent | you are an aquatic prodigy | your freestyle is exhilarating",
    ),
}

MANNERS: dict[str, Phrases] = {
    "smell": Phrases(
        "your smell | the way you smell | your scent | the scent you leave in a room | your perfume | "
        "the smell of your shirt | your smell after a long day | the scent of your coat",
        "the smell you leave in a room | the scent of your shirt",
        "the perfume you leave in a room | your scent after a long day | the smell of your coat",
        "your fragrance | the aroma around you | the aroma of your jacket",
    ),
    "popularity": Phrases(
        "your popularity | your circle of friends | the love people have for you | your fan club | "
        "your social life | the way people love you | your birthday party | the turnout at your party",
        "the love of your friends | the turnout at your fan club",
        "the way your friends love you | your circle of fans | the turnout at your birthday party",
        "your following | the admiration around you | your entourage",
    ),
    "cooking": Phrases(
        "your cooking | the food you make | your dinner | the meal you cook | the way you cook | "
        "a dinner at your house | the taste of your food | a day in your kitchen",
        "the taste of your dinner | a meal at your house",
        "the taste of your cooking | the dinner you make | the food at your house",
        "your cuisine | the supper you serve | your culinary technique",
    ),
    "singing": Phrases(
        "your singing | your voice | the way you sing | your song | the sound of your voice | "
        "your night at karaoke | your high note | your concert",
        "the sound of your singing | the sound of your song",
        "your night of singing | the sound of your concert | the high note of your song",
        "your vocal performance | your aria | the melody you croon",
    ),
    "speed": Phrases(
        "your speed | the way you run | your running | your pace | your pace in a race | your sprint to the bus | "
        "your morning run | the speed of your legs",
        "the pace of your legs | your morning sprint",
        "the way you sprint | your speed in a race | the pace of your run",
        "your velocity | your jogging tempo | the way you gallop",
    ),
    "strength": Phrases(
        "your strength | the power of your arms | your body after the gym | the way you lift | your muscle power | "
        "the grip of your hand | your strong arm | the force of your punch",
        "the strength of your arm | the power of your punch",
        "the power of your grip | the force of your arm | your strength after the gym",
        "your physique | the might of your biceps | your stamina",
    ),
    "tidiness": Phrases(
        "your room | your desk | the way you clean | your house | the order in your room | your idea of tidy | "
        "the state of your kitchen | the inside of your bag",
        "the state of your desk | the order in your house",
        "the state of your room | the inside of your house | your idea of clean",
        "your bedroom | your apartment | the condition of your wardrobe",
    ),
    "gardening": Phrases(
        "your garden | your yard | the way you garden | the way your plants grow | your gardening | "
        "the state of your flowers | the plant on your desk | the life in your garden",
        "the state of your plants | the plant in your yard",
        "the way your flowers grow | the life in your yard | the state of your garden",
        "your orchard | your horticulture | the greenhouse behind your cottage",
    ),
    "dancing": Phrases(
        "your dancing | the way you dance | the way you move | your dance at the wedding | "
        "your step on the dance floor | your big move | your last dance | the way your feet move",
        "the way your feet dance | your move on the dance floor",
        "your step at the wedding | the way you move on the floor | your big dance",
        "your choreography | your waltz | the tango you performed",
    ),
    "wit": Phrases(
        "your mind | your brain | the way you think | your last idea | your answer in class | your wit | "
        "the power of your mind | the inside of your head",
        "the power of your brain | the idea in your head",
        "your idea in class | the inside of your mind | the power of your wit",
        "your intellect | your reasoning | your cognition",
    ),
    "style": Phrases(
        "your outfit | your style | the way you dress | your hair today | your look | your party outfit | "
        "the way your hair looks | your taste in clothes",
        "the style of your hair | your look today",
        "the way your outfit looks | the style of your clothes | your party look",
        "your attire | your ensemble | your garb",
    ),
    "driving": Phrases(
        "your driving | the way you drive | your parking | a trip in your car | the way you park | "
        "your turn at the wheel | your driving test | a ride in your car",
        "the way you handle a car | a trip with you at the wheel",
        "a ride with you at the wheel | the way you park your car | your parking test",
        "your motoring | your navigation | the journey behind your steering",
    ),
    "drawing": Phrases(
        "your drawing | your art | the way you draw | the picture you made | your painting | the line you draw | "
        "your work of art | your art class",
        "the drawing you made | your work in art class",
        "the way you draw a picture | the painting you made | the art you made",
        "your sketch | your doodle | your illustration",
    ),
    "welcome": Phrases(
        "your welcome | the way you greet people | your smile | the mood in your home | a visit to your home | "
        "your hello | the feeling in your house | your company at dinner",
        "the feeling of your welcome | a visit to your house",
        "the mood in your house | the way you greet a guest | the feeling in your home",
        "your hospitality | your embrace | your demeanour",
    ),
    "bravery": Phrases(
        "your courage | the way you face danger | your heart in danger | the hero in you | your nerve | "
        "the way you stand up to people | your face at a scary movie | your will to fight",
        "your nerve in danger | your face in a fight",
        "the way you face a fight | your courage in danger | the courage in your heart",
        "your valour | your bravado | your temperament in peril",
    ),
    "swimming": Phrases(
        "your swimming | the way you swim | your dive | your time in the pool | the way you float | "
        "your swim in the lake | your stroke | your first swim in the sea",
        "your dive in the lake | your swim in the pool",
        "the way you dive | your swimming in the sea | your time in the lake",
        "your backstroke | your freestyle | your aquatic performance",
    ),
}
# fmt: on
