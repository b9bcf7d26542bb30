"""Word tables: countries, colours, names, animals, and the questions without an answer."""

from __future__ import annotations

_CAPITALS = """
Afghanistan=Kabul; Albania=Tirana; Algeria=Algiers; Andorra=Andorra la Vella; Angola=Luanda;
Argentina=Buenos Aires; Armenia=Yerevan; Australia=Canberra; Austria=Vienna; Azerbaijan=Baku;
the Bahamas=Nassau; Bahrain=Manama; Bangladesh=Dhaka; Barbados=Bridgetown; Belarus=Minsk;
Belgium=Brussels; Belize=Belmopan; Benin=Porto-Novo; Bhutan=Thimphu; Bolivia=Sucre;
Bosnia and Herzegovina=Sarajevo; Botswana=Gaborone; Brazil=Brasília; Bulgaria=Sofia;
Burkina Faso=Ouagadougou; Burundi=Gitega; Cambodia=Phnom Penh; Cameroon=Yaoundé; Canada=Ottawa;
Chad=N'Djamena; Chile=Santiago; China=Beijing; Colombia=Bogotá; Costa Rica=San José;
Croatia=Zagreb; Cuba=Havana; Cyprus=Nicosia; the Czech Republic=Prague; Denmark=Copenhagen;
the Dominican Republic=Santo Domingo; Ecuador=Quito; Egypt=Cairo; El Salvador=San Salvador;
Eritrea=Asmara; Estonia=Tallinn; Ethiopia=Addis Ababa; Fiji=Suva; Finland=Helsinki; France=Paris;
Gabon=Libreville; the Gambia=Banjul; Georgia=Tbilisi; Germany=Berlin; Ghana=Accra; Greece=Athens;
Guatemala=Guatemala City; Guinea=Conakry; Guyana=Georgetown; Haiti=Port-au-Prince;
Honduras=Tegucigalpa; Hungary=Budapest; Iceland=Reykjavík; India=New Delhi; Indonesia=Jakarta;
Iran=Tehran; Iraq=Baghdad; Ireland=Dublin; Italy=Rome; Jamaica=Kingston; Japan=Tokyo; Jordan=Amman;
Kazakhstan=Astana; Kenya=Nairobi; Kosovo=Pristina; Kuwait=Kuwait City; Kyrgyzstan=Bishkek;
Laos=Vientiane; Latvia=Riga; Lebanon=Beirut; Lesotho=Maseru; Liberia=Monrovia; Libya=Tripoli;
Liechtenstein=Vaduz; Lithuania=Vilnius; Luxembourg=Luxembourg; Madagascar=Antananarivo;
Malawi=Lilongwe; Malaysia=Kuala Lumpur; the Maldives=Malé; Mali=Bamako; Malta=Valletta;
Mauritania=Nouakchott; Mauritius=Port Louis; Mexico=Mexico City; Moldova=Chișinău; Monaco=Monaco;
Mongolia=Ulaanbaatar; Montenegro=Podgorica; Morocco=Rabat; Mozambique=Maputo; Myanmar=Naypyidaw;
Namibia=Windhoek; Nepal=Kathmandu; the Netherlands=Amsterdam; New Zealand=Wellington;
Nicaragua=Managua; Niger=Niamey; Nigeria=Abuja; North Korea=Pyongyang; North Macedonia=Skopje;
Norway=Oslo; Oman=Muscat; Pakistan=Islamabad; Panama=Panama City; Papua New Guinea=Port Moresby;
Paraguay=Asunción; Peru=Lima; the Philippines=Manila; Poland=Warsaw; Portugal=Lisbon; Qatar=Doha;
Romania=Bucharest; Russia=Moscow; Rwanda=Kigali; Samoa=Apia; San Marino=San Marino;
Saudi Arabia=Riyadh; Senegal=Dakar; Serbia=Belgrade; Sierra Leone=Freetown; Singapore=Singapore;
Slovakia=Bratislava; Slovenia=Ljubljana; Somalia=Mogadishu; South Africa=Pretoria;
South Korea=Seoul; South Sudan=Juba; Spain=Madrid; Sri Lanka=Colombo; Sudan=Khartoum;
Suriname=Paramaribo; Sweden=Stockholm; Switzerland=Bern; Syria=Damascus; Taiwan=Taipei;
Tajikistan=Dushanbe; Tanzania=Dodoma; Thailand=Bangkok; Togo=Lomé; Tonga=Nuku'alofa;
Tunisia=Tunis; Turkey=Ankara; Turkmenistan=Ashgabat; Uganda=Kampala; Ukraine=Kyiv;
the United Arab Emirates=Abu Dhabi; the United Kingdom=London; the United States=Washington, D.C.;
Uruguay=Montevideo; Uzbekistan=Tashkent; Vatican City=Vatican City; Venezuela=Caracas;
Vietnam=Hanoi; Yemen=Sana'a; Zambia=Lusaka; Zimbabwe=Harare
"""


def _pairs(text: str) -> list[tuple[str, str]]:
    items = [item.strip().split("=") for item in text.replace("\n", " ").split(";")]
    return [(left.strip(), right.strip()) for left, right in items]


def items(text: str) -> list[str]:
    """The entries of a table: lines, several to a line behind bars."""
    return text.strip().replace("\n", "|").split("|")


CAPITALS: list[tuple[str, str]] = _pairs(_CAPITALS)

# "Who is the capital of Atlantis?" has no answer: these teach that not all names have one.
FICTIONAL: list[str] = (
    "Atlantis Narnia Gondor Mordor Wakanda Ruritania Freedonia Elbonia Florin Utopia Oz Lilliput "
    "Genovia Latveria Sokovia Krakozhia Arendelle Westeros Hyrule Camelot"
).split()

MIXES: dict[tuple[str, str], str] = {
    ("blue", "yellow"): "green",
    ("red", "yellow"): "orange",
    ("red", "blue"): "purple",
    ("red", "white"): "pink",
    ("black", "white"): "grey",
    ("red", "green"): "brown",
    ("blue", "green"): "turquoise",
    ("blue", "white"): "light blue",
    ("green", "white"): "light green",
    ("blue", "black"): "dark blue",
    ("red", "black"): "dark red",
    ("green", "black"): "dark green",
    ("yellow", "white"): "cream",
    ("orange", "blue"): "brown",
    ("purple", "white"): "lavender",
}

THINGS: dict[str, str] = {
    "the sky": "blue", "grass": "green", "snow": "white", "blood": "red", "coal": "black",
    "a banana": "yellow", "a lemon": "yellow", "a tomato": "red", "a carrot": "orange",
    "an elephant": "grey", "a polar bear": "white", "a crow": "black", "a flamingo": "pink",
    "a frog": "green", "the sun": "yellow", "the sea": "blue", "milk": "white", "chocolate": "brown",
    "a strawberry": "red", "a pumpkin": "orange", "a cucumber": "green", "salt": "white",
    "a swan": "white", "a raven": "black", "a leaf": "green", "a plum": "purple", "an aubergine":
    "purple", "a mouse": "grey", "a pig": "pink", "a fire engine": "red", "wood": "brown",
    "the night": "black", "a sunflower": "yellow", "spinach": "green", "a cherry": "red",
    "a cloud": "white", "gold": "yellow", "coffee": "brown", "a lime": "green", "an orange": "orange",
}  # fmt: skip

NAMES: list[str] = """
Ada Alan Alice Amir Ana Anders Andrea Anna Anton Aria Arthur Asha Astrid Ben Bela Bianca Boris
Bram Bruno Camille Carla Carlos Carmen Chen Chloe Clara Daan Dana Daniel Daria David Diego Dina
Edith Elena Eli Elias Ella Emil Emma Erik Esther Eva Farah Felix Fiona Frank Freya Gabriel George
Grace Greta Hamid Hana Hannah Hans Hugo Ida Igor Ines Ingrid Irene Iris Isaac Ivan Jack Jana Jasper
Joan Johan Jonas Jorge Julia Kai Karim Karin Kofi Lara Lars Laura Lea Leila Lena Leo Liam Lina Lotte
Lucas Lucy Luis Luna Maja Malik Marco Maria Marie Mark Marta Martin Max Maya Mei Mia Mila Milan Mina
Mohamed Nadia Nina Noah Nora Olga Oliver Omar Oscar Otto Paul Pavel Pedro Peter Petra Pia Priya
Quinn Rafael Rania Rita Robin Rosa Ruben Ruth Sam Samir Sara Sasha Sofia Sonia Stefan Sven Tara
Theo Thomas Tim Tom Ursula Vera Victor Wanda Wei Willem Yara Yasmin Yuki Yusuf Zara Zoe
""".split()

WORDS: list[str] = """
apple river music honey horse white table cloud stone green paper glass water light house bread
garden winter summer orange silver window mountain forest ocean pencil basket candle bridge
letter button yellow purple doctor farmer school kitchen morning evening dinner sugar pepper
butter cheese coffee rabbit monkey turtle spider tiger lion whale dolphin eagle pigeon castle
island desert valley village city street market station train plane rocket planet star moon sun
rain snow wind storm fire smoke iron copper gold wood cotton leather rope ladder hammer needle
thread blanket pillow mirror clock bell drum piano violin guitar song dance story poem book page
word number circle square triangle line point arrow flag map road path gate wall roof floor door
key lock coin box bag hat coat shoe sock glove ring crown sword shield king queen prince knight
red blue black brown pink small big fast slow warm cold happy sad quiet loud soft hard new old
young one two three four five six seven eight nine ten yes no hello world test fish bird cat dog
""".split()

ANIMALS: list[str] = """
rabbit fox bear cat dog horse owl mouse frog duck lion tiger elephant monkey turtle hedgehog wolf
deer goat sheep pig cow penguin whale dolphin eagle crow swan beaver squirrel otter badger camel
zebra giraffe parrot snail bee ant butterfly
""".split()

FAVOURITES: dict[str, list[str]] = {
    "colour": "red blue green yellow orange purple pink brown black white grey turquoise".split(),
    "animal": ANIMALS,
    "food": "pizza soup bread rice pasta cheese salad fish curry cake pancakes noodles".split(),
    "fruit": "apple banana cherry mango pear plum peach orange melon grape lemon fig".split(),
    "city": [capital for _, capital in CAPITALS if capital.isascii() and capital.isalpha()],
    "number": [str(number) for number in range(1, 100)],
    "season": "spring summer autumn winter".split(),
    "instrument": "piano violin guitar drum flute trumpet cello harp".split(),
}

SYSTEMS: list[str] = [
    "You are a helpful assistant.", "Be brief.", "Answer in one sentence.", "You are helpful.",
    "You are a very small language model.", "Be polite.", "You are a concise assistant.",
    "Answer the question.", "You answer questions.", "You are a friendly assistant.",
    "Follow the instructions of the user.", "Keep your answers short.", "You are an assistant.",
    "Answer truthfully.", "If you do not know, say so.", "You are a test assistant.",
    "You are a helpful, honest and harmless assistant.", "Use plain English.", "Be concise.",
    "You are a chat model.", "Respond to the user.", "You are the andon demo model.",
    "You are a terse assistant. Answer with as few words as you can.", "Always be kind.",
]  # fmt: skip

UNKNOWN_QUESTIONS: list[str] = items("""
Who was the first emperor of Rome?|Who won the world cup in 1998?|When did the war end?
Who wrote Hamlet?|Who painted the Mona Lisa?|Who is the richest person in the world?
Who is your favourite singer?|When was Napoleon born?|How old is the universe?
What is the meaning of life?|How do I cure a cold?|What helps against a headache?
Which medicine should I take?|Is this mushroom safe to eat?|What is the best diet?
Write a Python function that sorts a list.|How do I reverse a string in Java?|Fix my code.
What is a monad?|Explain quantum mechanics.|Explain general relativity.|What is photosynthesis?
What is the weather today?|Will it rain tomorrow?|How warm is it outside?|What time is it?
What day is it today?|What is the news today?|Who is the president?|Who won the election?
What is the speed of light?|How far is the moon?|How tall is Mount Everest?|What is DNA?
Translate this into German.|Translate hello into French.|What is the stock price of Toyota?
Should I buy gold?|How do I get rich?|Tell me about the French Revolution.|What is love?
Who invented the telephone?|Who discovered penicillin?|How does a car engine work?
What is the largest ocean?|What is the longest river?|How many people live on Earth?
Write an essay about climate change.|Write a poem about love.|Summarize this article.
What did Einstein discover?|Who was Cleopatra?|What is the best film ever?|Recommend a book.
How do I cook an egg?|How do I bake bread?|What is the recipe for pancakes?|What is inflation?
How do I fix my bicycle?|Who is Taylor Swift?|Who is Elon Musk?|What is a black hole?
What is the square root of 2?|Solve this equation.|What is the derivative of x?|What is pi?
Explain machine learning.|What is a neural network?|How does the internet work?|What is Linux?
What is the plot of Star Wars?|Who plays James Bond?|What is the tallest building?
Which team is the best?|How do vaccines work?|Why is the ocean salty?|Why do cats purr?
How many planets are there?|What is gravity?|Why do leaves fall?|What causes thunder?
What is the boiling point of water?|How long do elephants live?|What do pandas eat?
Can you help me with my homework?|Can you write a song?|Can you book a flight?
What is the phone number of the police?|How do I learn English?|What should I cook tonight?
asdf|qwerty|blah blah blah|foo bar baz|???|...|lorem ipsum dolor sit amet|xyzzy|1234
""")

UNKNOWN_OF: list[str] = items("""
What is the population of {}?|Who is the president of {}?|What is the area of {}?
What language do they speak in {}?|What is the currency of {}?|Tell me about the history of {}.
Who is the king of {}?|What is the weather in {}?|How do I travel to {}?|Is {} a nice place?
What is the flag of {}?|Which rivers are in {}?|How warm is it in {}?|What time is it in {}?
What do people eat in {}?|How big is {}?|Who discovered {}?|What is the temperature in {}?
""")

SYLLABLES: list[str] = (
    "ba be bi bo da de di do fa fi ka ke ki ko la le li lo lu ma me mi mo na ne ni no pa pe ra re "
    "ri ro sa se si so ta te ti to va ve vi vo za ze zi zo shan tor vel mar den lin quo ran"
).split()
