"""Four people come to andon, each from nothing: an empty environment, and the built wheels.

They do what the docs tell them, by the command line and by Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(300)]

#: What a newcomer installs for the first command of the README.
FIRST = ("andon", "andon-cli", "andon-llama-cpp", "andon-demo-model")
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."


@pytest.fixture
def install(wheels: Mapping[str, Path], environment: Any) -> Any:
    """Installs distributions of the workspace, and nothing else of it; gives the environment."""

    def install(*names: str) -> Any:
        environment.install(*(wheels[name] for name in names))
        return environment

    return install


def test_a_newcomer(install: Any) -> None:
    place = install(*FIRST)
    assert place.script("andon", "chat", "llama-cpp:demo", FRANCE).strip() == PARIS
    models = json.loads(place.script("andon", "models", "--json"))
    assert "llama-cpp:demo" in {model["name"] for model in models}
    assert "llama-cpp" in place.script("andon", "backends")
    assert place.script("andon", "plugins")
    spent = json.loads(place.script("andon", "spend", "--json"))
    assert spent
    code = f"import andon; print(andon.Client(privacy='sovereign').chat('llama-cpp:demo', {FRANCE!r}).text)"
    assert place.python(code).strip() == PARIS


def test_somebody_who_adds_a_paid_backend(install: Any) -> None:
    place = install(*FIRST, "andon-groq")
    code = (
        "import andon\n"
        "client = andon.Client()\n"
        "try:\n"
        "    client.chat('groq:openai/gpt-oss-20b', 'hi')\n"
        "except andon.MissingKeyError as error:\n"
        "    print(error)\n"
        "try:\n"
        "    client.chat('openai:gpt-5', 'hi')\n"
        "except andon.UnknownBackendError as error:\n"
        "    print(error)\n"
    )
    missing, unknown = place.python(code).splitlines()
    assert "GROQ_API_KEY" in missing
    assert "pip install andon-openai" in unknown


def test_an_embedder(install: Any) -> None:
    place = install("andon", "andon-llama-cpp", "andon-demo-model", "andon-openai-sdk")
    code = (
        "import andon, andon_demo_model, andon_llama_cpp\n"
        "from andon_openai_sdk import openai_client\n"
        "plugins = [andon_llama_cpp, andon_demo_model]\n"
        "with andon.Client(discover=False, plugins=plugins) as client:\n"
        f"    messages = [{{'role': 'user', 'content': {FRANCE!r}}}]\n"
        "    sdk = openai_client(client)\n"
        "    answer = sdk.chat.completions.create(model='llama-cpp:demo', messages=messages)\n"
        "    print(answer.choices[0].message.content)\n"
        "    for delta in client.stream('llama-cpp:demo', messages):\n"
        "        print(delta.text, end='')\n"
    )
    assert place.python(code).splitlines() == [PARIS, PARIS]


SETTINGS = """
privacy = "standard"
daily_budget_usd = "10"
ledger = "sqlite:///spend.db"

[prices."groq:openai/gpt-oss-20b"]
input = "0.10"
output = "0.50"

[routes.assistant]
models = ["llama-cpp:demo", "groq:openai/gpt-oss-20b"]
first_token_timeout = 30
"""


def test_an_operator(install: Any) -> None:
    place = install(*FIRST, "andon-groq")
    file = place.work / "andon.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    assert place.script("andon", "config", "check") is not None
    price = place.script("andon", "price", "groq:openai/gpt-oss-20b")
    assert "0.10" in price
    assert "settings" in price
    code = (
        "import andon; print(andon.Client().chat('assistant', 'What is the capital of Peru?').text)"
    )
    assert place.python(code).strip() == "The capital of Peru is Lima."
    # The route names a backend that lacks its key: the doctor says so before a request does.
    with pytest.raises(AssertionError, match="set the environment variable GROQ_API_KEY"):
        place.script("andon", "doctor", "--json")
    file.write_text(SETTINGS.replace('"standard"', '"sovreign"'), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"andon.toml.*2|sovreign"):
        place.script("andon", "config", "check")
