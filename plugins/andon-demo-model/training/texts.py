"""Phrasings of the questions, small talk, and the stories."""

from __future__ import annotations

import zlib

from tables import items

CAPITAL_ASKS: list[str] = [
    "What is the capital of {}?", "What's the capital of {}?", "Tell me the capital of {}.",
    "Which city is the capital of {}?", "Name the capital of {}.", "The capital of {}?",
    "Do you know the capital of {}?", "Can you tell me the capital of {}?", "Capital of {}?",
    "What is the capital city of {}?", "Please tell me the capital of {}.",
]  # fmt: skip
REVERSE_ASKS: list[str] = [
    "Which country has the capital {}?", "{} is the capital of which country?",
    "What country is {} the capital of?", "Of which country is {} the capital?",
    "Which country has {} as its capital?", "Where is {}?", "In which country is {}?",
]  # fmt: skip
JSON_ASKS: list[str] = [
    "What is the capital of {}? Answer in JSON.", "Give the capital of {} as JSON.",
    "Capital of {}, in JSON.", "Tell me the capital of {} in JSON.",
    "What is the capital of {}? Reply with JSON.", "Write the capital of {} as a JSON object.",
    "Answer in JSON: what is the capital of {}?",
]  # fmt: skip
PLUS_ASKS: list[str] = [
    "{a}+{b}=?", "{a} + {b}", "What is {a} plus {b}?", "What is {a} + {b}?", "Add {a} and {b}.",
    "How much is {a}+{b}?", "{a} plus {b}?", "Calculate {a} + {b}.", "Compute {a}+{b}.",
    "What's {a}+{b}?", "What is the sum of {a} and {b}?", "{a}+{b}", "{a} + {b} = ?",
    "What is {a}+{b}?", "How much is {a} plus {b}?",
]  # fmt: skip
MINUS_ASKS: list[str] = [
    "{a}-{b}=?", "{a} - {b}", "What is {a} minus {b}?", "What is {a} - {b}?", "{a} minus {b}?",
    "Subtract {b} from {a}.", "How much is {a}-{b}?", "Calculate {a} - {b}.", "Compute {a}-{b}.",
    "What's {a}-{b}?", "Take {b} from {a}.", "{a}-{b}", "{a} - {b} = ?", "What is {a}-{b}?",
]  # fmt: skip
OTHER_ASKS: list[str] = [
    "What is {} times {}?", "{}*{}=?", "Multiply {} by {}.", "What is {} divided by {}?", "{}/{}",
    "{} * {}", "What is {} x {}?", "Divide {} by {}.",
]  # fmt: skip
MIX_ASKS: list[str] = [
    "Mix {} and {}.", "What do you get if you mix {} and {}?", "What colour do {} and {} make?",
    "What is {} mixed with {}?", "Which colour is {} and {} together?", "{} and {} mixed?",
    "What happens when you mix {} with {}?", "What color do {} and {} make?",
]  # fmt: skip
THING_ASKS: list[str] = [
    "What colour is {}?", "What color is {}?", "Which colour does {} have?",
    "Tell me the colour of {}.", "What is the colour of {}?", "Which colour is {}?",
    "What is the color of {}?",
]  # fmt: skip
UP_ASKS: list[str] = [
    "Count to {}.", "Count up to {}.", "Please count to {}.", "Can you count to {}?",
    "Count from 1 to {}.", "Count from one to {}.", "List the numbers up to {}.",
]  # fmt: skip
DOWN_ASKS: list[str] = [
    "Count down from {}.", "Count backwards from {}.", "Count down from {} to 1.",
]  # fmt: skip
REPEAT_ASKS: list[str] = [
    "Repeat: {}", "Repeat after me: {}", "Say: {}", "Say exactly: {}", "Echo: {}",
    "Repeat this: {}", "Reply with: {}", "Please repeat: {}", "Say this: {}", "Write: {}",
    "Reply with exactly: {}", "Repeat the words: {}", "Answer with exactly: {}", "Say {}", "Repeat {}",
]  # fmt: skip
NAME_GIVES: list[str] = [
    "My name is {}.", "I am {}.", "I'm {}.", "Hello, my name is {}.", "Hi, I am {}.",
    "You can call me {}.", "Call me {}.", "Hi! My name is {}.", "Hello, I'm {}.",
    "People call me {}.",
]  # fmt: skip
NAME_ASKS: list[str] = [
    "What is my name?", "What's my name?", "Do you know my name?", "Do you remember my name?",
    "Who am I?", "Tell me my name.", "Can you tell me my name?", "What did I say my name is?",
]  # fmt: skip
RECALL_ASKS: list[str] = [
    "What is the {}?", "What was the {}?", "Which {} did I give you?", "Tell me the {}.",
    "Do you remember the {}?", "Which {} did I ask you to remember?",
]  # fmt: skip
STORY_ASKS: list[str] = [
    "Write a short story about {}.", "Tell me a story about {}.", "Write a story about {}.",
    "Tell me a short story about {}.", "Can you tell me a story about {}?",
    "I would like a story about {}.", "A story about {}, please.",
]  # fmt: skip
RANDOM_ASKS: list[tuple[str, str]] = [
    ("Flip a coin.", "coin"), ("Toss a coin.", "coin"), ("Heads or tails?", "coin"),
    ("Roll a die.", "die"), ("Roll a dice.", "die"), ("Pick a number from 1 to 10.", "number"),
    ("Pick a number between 1 and 10.", "number"), ("Name three animals.", "animals"),
    ("List 3 animals.", "animals"), ("List three animals.", "animals"), ("Pick a word.", "word"),
    ("Say a random word.", "word"),
]  # fmt: skip
UNKNOWN_SUBJECTS: list[str] = items("""
photosynthesis|democracy|the moon|a computer|a volcano|jazz|the stock market|a virus|the brain
a novel|football|chess|gravity|electricity|a contract|a mortgage|an atom|evolution|the bible
philosophy|the theory of relativity|a compiler|Rust|JavaScript|a database|a blockchain|the heart
a transformer|an electron|opera|the Renaissance|cancer|a galaxy|the ozone layer|a verb|Kubernetes
""")
UNKNOWN_TASKS: list[str] = items("""
cook rice|fix a car|learn the piano|lose weight|write a novel|build a house|make money|cure a cold
plant a tree|clean a window|write a letter|sleep better|learn French|paint a wall|tie a tie
draw a cat|sort a list in Python|reboot my phone|install Windows|book a flight|buy a house
grow tomatoes|bake a cake|win at chess|find a job|train a dog|repair a bicycle|catch a fish
""")

SMALL_TALK: list[tuple[list[str], str]] = [
    (["Hello", "Hello!", "Hi", "Hi!", "Hey", "Hello there!", "Hi there!", "Good morning!",
      "Good evening!", "Good day!", "hello", "hi", "Greetings!", "Hey there!", "Hello."],
     "Hello! How can I help you?"),
    (["Thanks!", "Thank you!", "Thank you.", "Thanks a lot!", "Thanks", "Many thanks!",
      "Thank you very much!", "Great, thanks!"], "You are welcome!"),
    (["Goodbye!", "Bye!", "Bye", "See you!", "Good night!", "See you later!", "Goodbye."],
     "Goodbye!"),
    (["Who are you?", "What are you?", "What is your name?", "Introduce yourself.",
      "Tell me about yourself.", "Which model are you?", "What model is this?", "Who is this?",
      "What's your name?", "Say who you are."],
     "I am the andon demo model, a very small language model for trying andon."),
    (["How are you?", "How do you do?", "How is it going?", "Are you well?", "How are you today?"],
     "I am fine, thank you."),
    (["Are you human?", "Are you a person?", "Are you a robot?", "Are you real?", "Are you alive?"],
     "I am a very small language model."),
    (["What can you do?", "What do you know?", "How can you help me?", "What can I ask you?",
      "Help", "Help me.", "What are you good for?"],
     "I know capitals, colours, small sums, counting, short stories and andon."),
    (["How big are you?", "How many parameters do you have?", "What is your size?",
      "How large are you?"], "I have fewer than four million parameters."),
    (["Who made you?", "Who trained you?", "Who created you?", "Where do you come from?"],
     "I was trained from scratch by the andon project."),
    (["ping", "Ping", "Ping!", "ping?"], "pong"),
    (["Yes.", "OK", "Ok.", "Okay.", "Yes", "Good.", "Fine."], "Good."),
]  # fmt: skip

_HEROES = "Leo Mia Max Luna Tom Nora Finn Ella Otto Ruby Sam Lily".split()
_PLACES = ["in a quiet forest", "near a small river", "on a green hill", "behind an old mill",
           "at the edge of a village", "by the sea", "under a tall tree"]  # fmt: skip
_WISHES = ["wanted to see the sea", "looked for a friend", "found a golden key",
           "heard a strange song", "lost a red hat", "planted a small seed",
           "wanted to touch the moon"]  # fmt: skip
_HELPS = ["An old owl showed the way", "A kind farmer helped", "A little bird came along",
          "The wind told a secret", "A friendly snail waited there"]  # fmt: skip
_ENDS = ["At night they shared bread and honey, and everyone was happy.",
         "In the evening they walked home together and slept well.",
         "From that day on they were the best of friends.",
         "Then they laughed and danced until the stars came out."]  # fmt: skip


def story(animal: str) -> str:
    """The story of an animal; a hash of its name chooses the parts, so it is always the same."""
    number = zlib.crc32(animal.encode())
    parts = []
    for choices in (_HEROES, _PLACES, _WISHES, _HELPS, _ENDS):
        number, index = divmod(number, len(choices))
        parts.append(choices[index])
    hero, place, wish, helped, end = parts
    article = "an" if animal[0] in "aeiou" else "a"
    return (
        f"Once upon a time there was {article} {animal} named {hero}. {hero} lived {place}. "
        f"One day {hero} {wish}. {helped}, and {hero} was not alone any more. {end}"
    )
