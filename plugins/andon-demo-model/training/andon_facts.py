"""What the demo model knows about andon: question frames, subjects and one answer each."""

from __future__ import annotations

WHAT: list[str] = [
    "What is {}?", "What's {}?", "Explain {}.", "Can you explain {}?", "Tell me about {}.",
    "Describe {}.", "Define {}.", "Please explain {}.", "What do you know about {}?",
    "Give me a short explanation of {}.", "What exactly is {}?", "What is meant by {}?",
    "Could you tell me what {} is?", "I want to know what {} is.", "In short, what is {}?",
]  # fmt: skip

HOW: list[str] = [
    "How do I {}?", "How can I {}?", "How to {}?", "Tell me how to {}.", "Show me how to {}.",
    "I want to {}.", "How does one {}?", "Can you tell me how to {}?", "How could I {}?",
    "What is the way to {}?", "I would like to {}. How?", "Please show me how to {}.",
    "Explain how to {}.", "What do I do to {}?", "How should I {}?",
]  # fmt: skip

# (name, frames, fillers of the frame, answer)
Fact = tuple[str, list[str], list[str], str]

CONCEPTS: list[Fact] = [
    ("andon", WHAT, ["andon", "the andon framework", "the andon project"],
     "andon is a Python framework that gives one interface to every model server, local or "
     "remote."),
    ("tier", WHAT, ["a privacy tier", "the privacy tier", "privacy tiers in andon"],
     "A privacy tier says where your data may go: sovereign stays on this machine, private adds "
     "your own endpoints, standard allows all backends."),
    ("sovereign", WHAT, ["the sovereign tier", "sovereign", "the sovereign privacy tier"],
     "In the sovereign tier all data stays on this machine."),
    ("private", WHAT, ["the private tier", "private", "the private privacy tier"],
     "The private tier allows this machine and your own endpoints."),
    ("standard", WHAT, ["the standard tier", "standard", "the standard privacy tier"],
     "The standard tier allows all backends, public ones too."),
    ("failover", WHAT, ["failover", "failover in andon", "a failover"],
     "Failover means that another backend takes over when one fails."),
    ("spillover", WHAT, ["spillover", "spillover in andon", "a spillover"],
     "Spillover means that requests go to another backend when the local queue is too long."),
    ("template", WHAT, ["a chat template", "the chat template", "chat templates"],
     "A chat template turns a list of messages into the exact text that a model was trained on."),
    ("truncation", WHAT, ["truncation", "truncation in andon", "context truncation"],
     "Truncation drops old messages so that a conversation fits the context window."),
    ("window", WHAT, ["a context window", "the context window", "the context length"],
     "A context window is the number of tokens that a model can see at once."),
    ("token", WHAT, ["a token", "the word token", "a token in a language model"],
     "A token is a piece of text that a model reads as one unit."),
    ("backend", WHAT, ["a backend", "a backend in andon", "an andon backend"],
     "A backend is a model server or library that andon talks to through a plugin."),
    ("plugin", WHAT, ["a plugin", "a plugin in andon", "an andon plugin"],
     "A plugin is a Python package that adds a backend to andon."),
    ("budget", WHAT, ["a budget", "the daily budget", "a budget in andon"],
     "A budget is the most money in dollars that andon may spend in a day."),
    ("breaker", WHAT, ["the circuit breaker", "a cost circuit breaker", "the cost breaker"],
     "The circuit breaker stops requests when the budget is spent."),
    ("kit", WHAT, ["the conformance kit", "a conformance kit", "the andon conformance kit"],
     "The conformance kit is a set of tests that every backend plugin must pass."),
    ("meaning", ["What does {} mean?", "What is the meaning of {}?", "Why is it called {}?",
                 "Where does {} come from?", "What is the origin of {}?", "Explain {}.",
                 "Why the name {}?", "What does {} stand for?", "What is behind {}?"],
     ["the word andon", "the name andon", "the term andon", "\"andon\""],
     "An andon is the cord at Toyota that any worker may pull to stop the line."),
    ("licence", ["What is {}?", "Tell me {}.", "What's {}?", "Do you know {}?", "Which is {}?",
                 "Can you tell me {}?", "Please tell me {}.", "I want to know {}."],
     ["the licence of andon", "the license of andon", "andon's licence", "andon's license",
      "the licence that andon has"],
     "andon is under the Apache-2.0 licence."),
]  # fmt: skip

TASKS: list[Fact] = [
    ("set-budget", HOW, ["set a budget", "set a daily budget", "limit my spending",
                         "limit the cost per day"],
     "Pass daily_budget_usd to the client: andon.Client(daily_budget_usd=10)."),
    ("limit-request", HOW, ["limit the cost of a request", "set a limit per request",
                            "limit what one request costs", "set a per-request limit"],
     "Pass max_request_cost_usd to the client: andon.Client(max_request_cost_usd=0.5)."),
    ("set-tier", HOW, ["set the privacy tier", "choose a privacy tier", "change the privacy tier",
                       "keep my data on this machine"],
     "Pass privacy to the client: andon.Client(privacy=\"sovereign\")."),
    ("models", HOW, ["list the models", "list models", "see all models", "show the models"],
     "Run: andon models"),
    ("backends", HOW, ["list the backends", "list backends", "see all backends",
                       "show the backends"],
     "Run: andon backends"),
    ("plugins", HOW, ["list the plugins", "list plugins", "see all plugins", "show the plugins"],
     "Run: andon plugins"),
    ("chat", HOW, ["chat in the terminal", "start a chat in the terminal",
                   "chat from the command line", "use andon in the terminal"],
     "Run: andon chat llama-cpp:demo"),
    ("python", HOW, ["use andon from Python", "use andon in Python", "call andon from my code",
                     "use andon in a Python program"],
     "In Python: andon.Client().chat(\"llama-cpp:demo\", \"Hello\")"),
    ("install", HOW, ["install andon", "get andon", "set up andon", "download andon"],
     "Install it with pip: pip install andon."),
]  # fmt: skip

KEYED: list[str] = ["groq", "openai", "anthropic", "together", "fireworks"]
KEYLESS: list[str] = ["ollama", "llama-cpp", "transformers"]

INSTALL: list[str] = ["install {}", "add {}", "use {} with andon", "install the {} backend",
                      "add the {} backend", "install the {} plugin", "use {}"]  # fmt: skip
KEY_QUESTIONS: list[str] = [
    "Does {} need an API key?", "Which API key does {} need?", "Which key do I set for {}?",
    "Do I need an API key for {}?", "What is the API key variable of {}?",
    "Which environment variable does {} use?", "Does the {} backend need a key?",
    "What key does the {} backend need?", "Must I set a key for {}?",
]  # fmt: skip


def _backend_facts() -> list[Fact]:
    facts: list[Fact] = []
    for name in KEYED + KEYLESS:
        key = f"{name.upper()}_API_KEY"
        install = f"Install its plugin with pip: pip install andon-{name}."
        fillers = [form.format(name) for form in INSTALL]
        keyed = name in KEYED
        tail = f"Then set its API key, {key}." if keyed else "It needs no API key."
        facts.append((f"install-{name}", HOW, fillers, f"{install} {tail}"))
        answer = f"{name} needs an API key: set {key}." if keyed else f"{name} needs no API key."
        facts.append((f"key-{name}", KEY_QUESTIONS, [name], answer))
    return facts


FACTS: list[Fact] = CONCEPTS + TASKS + _backend_facts()
