"""What andon-google-vertex says of its backend, and the requests that are really sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import andon_google_vertex
from andon import AsyncClient, BackendContext, Client, Locality, Price
from andon.backends.http_backend import HTTPBackend
from andon.backends.http_options import HTTPOptions, read_base_url
from andon.chat import ChatRequest
from andon.errors import AuthenticationError, MissingKeyError, SettingsError
from andon.messages import ChatMessage
from andon.testing.provider import SampleAnswer
from andon.testing.providers.gemini import GeminiProvider
from andon_google_vertex import ENDPOINT
from andon_google_vertex.place import make_dialect

PROVIDER = GeminiProvider()
REQUEST = ChatRequest(model="gemini-3-pro", messages=(ChatMessage.user("Hello"),))
GLOBAL = "https://aiplatform.googleapis.com/v1beta1"
PLAIN = "/publishers/google/models/gemini-3-pro:generateContent"


def context(environment: Mapping[str, str] | None = None, **options: Any) -> BackendContext:
    return BackendContext(options=options, environment=environment or {})


def test_the_facts() -> None:
    [spec] = andon_google_vertex.andon_register_backends()
    assert (spec.name, spec.locality) == ("google-vertex", Locality.PRIVATE)
    assert spec.models == ("gemini-3.5-flash",)
    assert ENDPOINT.base_url == read_base_url("google-vertex", ENDPOINT, context())
    assert ENDPOINT.options == ("project", "location", "api_version", "credentials_file")


# -- Where it goes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (context(), GLOBAL),
        (context(location="us-central1"), "https://us-central1-aiplatform.googleapis.com/v1beta1"),
        (context({"GOOGLE_CLOUD_LOCATION": "eu"}), "https://aiplatform.eu.rep.googleapis.com/v1beta1"),
        (context(location="us"), "https://aiplatform.us.rep.googleapis.com/v1beta1"),
        (context({"GOOGLE_CLOUD_LOCATION": "eu"}, location="global", api_version="v1"), GLOBAL[:-5]),
        (context({"GOOGLE_GENAI_API_VERSION": "v2alpha1"}), GLOBAL.replace("v1beta1", "v2alpha1")),
        (context({"GOOGLE_CLOUD_LOCATION": "eu"}, api_key="K"), GLOBAL),
        (context(base_url="http://127.0.0.1:1/v1/", location="eu"), "http://127.0.0.1:1/v1"),
    ],
)  # fmt: skip
def test_the_address(given: BackendContext, address: str) -> None:
    assert read_base_url("google-vertex", ENDPOINT, given) == address


@pytest.mark.parametrize(
    ("given", "parent", "header"),
    [
        (context(project="p"), "/projects/p/locations/global", "authorization"),
        (
            context({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "eu"}),
            "/projects/p/locations/eu", "authorization",
        ),
        (context({"GOOGLE_CLOUD_PROJECT": "q"}, project="p"), "/projects/p/locations/global", "authorization"),
        # A key among the settings is express mode, whatever the environment says …
        (context({"GOOGLE_CLOUD_PROJECT": "q"}, api_key="K"), "", "x-goog-api-key"),
        # … unless the settings name the project as well.
        (context(api_key="K", project="p"), "/projects/p/locations/global", "x-goog-api-key"),
        # One in the environment counts only if nothing else says whose call it is.
        (context({"GOOGLE_API_KEY": "K"}), "", "x-goog-api-key"),
        (
            context({"GOOGLE_API_KEY": "K", "GOOGLE_CLOUD_PROJECT": "p"}),
            "/projects/p/locations/global", "authorization",
        ),
        (context({"GOOGLE_API_KEY": "K"}, project="p"), "/projects/p/locations/global", "authorization"),
    ],
)  # fmt: skip
def test_project_and_key(given: BackendContext, parent: str, header: str) -> None:
    assert make_dialect(given).encode(REQUEST).path == parent + PLAIN
    options = HTTPOptions.read("google-vertex", ENDPOINT, given)
    assert options.authorizer is not None
    if header == "x-goog-api-key":
        assert not options.authorizer.refresh_due()
        assert options.authorizer.sign("POST", "", {}, b"") == {"x-goog-api-key": "K"}
        assert options.authorizer.secrets() == ("K",)
    else:
        assert options.authorizer.refresh_due()


def test_the_project_of_a_service_account(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"type": "service_account", "project_id": "its-own"}))
    expected = "/projects/its-own/locations/global" + PLAIN
    variable = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    for given in (context(variable), context(credentials_file=str(file))):
        assert make_dialect(given).encode(REQUEST).path == expected
    key = variable | {"GOOGLE_API_KEY": "K"}
    assert make_dialect(context(key)).encode(REQUEST).path == PLAIN
    assert make_dialect(context(key, credentials_file=str(file))).encode(REQUEST).path == expected


def test_a_header_of_ones_own_is_enough() -> None:
    given = context(base_url="http://127.0.0.1:1", headers={"Authorization": "Bearer mine"})
    assert make_dialect(given).encode(REQUEST).path == PLAIN
    options = HTTPOptions.read("google-vertex", ENDPOINT, given)
    assert options.authorizer is not None
    assert not options.authorizer.refresh_due()
    assert options.authorizer.sign("POST", "", options.headers, b"") == {}


# -- What is wrong ---------------------------------------------------------------------------------


def create(given: BackendContext) -> HTTPBackend:
    [spec] = andon_google_vertex.andon_register_backends()
    backend = spec.create(given)
    assert isinstance(backend, HTTPBackend)
    return backend


def test_without_credentials_all_ways_are_named() -> None:
    with pytest.raises(MissingKeyError) as caught:
        create(context())
    for way in (
        "GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_KEY",
        "gcloud auth application-default login", '"credentials_file"', '"api_key"', "llama-cpp:demo",
    ):  # fmt: skip
        assert way in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        context(project="a/b"), context(location="evil.org/"), context(api_version="../v1"),
        context(project=5), context(credentials_file=["x"]), context(api_key="é"),
        context(project="p", unknown="x"), context({"GOOGLE_CLOUD_LOCATION": "a.b"}, project="p"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong(given: BackendContext) -> None:
    with pytest.raises(SettingsError):
        create(given)


def test_a_file_that_names_no_project(tmp_path: Path) -> None:
    gcloud = tmp_path / ".config" / "gcloud"
    gcloud.mkdir(parents=True)
    (gcloud / "application_default_credentials.json").write_text('{"type": "authorized_user"}')
    with pytest.raises(SettingsError, match=r"name no project.*GOOGLE_CLOUD_PROJECT"):
        create(context({"HOME": str(tmp_path)}))


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"type": 5}', "[" * 100_000])
def test_files_that_are_none(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=r"key\.json"):
        create(context({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}))


# -- Requests that are really sent -----------------------------------------------------------------

FREE = {"google-vertex:gemini-3-pro": Price(input=Decimal(0), output=Decimal(0))}


def arguments(url: str, **options: Any) -> dict[str, Any]:
    endpoint = {"base_url": f"{url}/v1beta1", "api_key": "secret-key"} | options
    return {
        "discover": False, "plugins": [andon_google_vertex], "prices": FREE,
        "endpoints": {"google-vertex": endpoint},
    }  # fmt: skip


def test_a_chat_and_a_stream(google: Any) -> None:
    sample = SampleAnswer(reasoning=("Hm.",))
    google.answer = lambda request: (
        PROVIDER.stream(sample) if "stream" in request.target else PROVIDER.whole(sample)
    )
    with Client(**arguments(google.url)) as client:
        reply = client.chat("google-vertex:gemini-3-pro", "Hello", max_tokens=9)
        pieces = list(client.stream("google-vertex:gemini-3-pro", "Hello", max_tokens=9))
    assert (reply.text, reply.usage.total_tokens) == ("Hello, wörld!", 17)
    assert [piece.text for piece in pieces if piece.text] == list(sample.text)

    async def aask() -> tuple[str, str]:
        async with AsyncClient(**arguments(google.url)) as client:
            reply = await client.chat("google-vertex:gemini-3-pro", "Hello", max_tokens=9)
            stream = client.stream("google-vertex:gemini-3-pro", "Hello", max_tokens=9)
            return reply.text, "".join([piece.text async for piece in stream])

    assert asyncio.run(aask()) == ("Hello, wörld!", "Hello, wörld!")
    body = {
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "generationConfig": {"maxOutputTokens": 9},
    }
    model = "/v1beta1/publishers/google/models/gemini-3-pro"
    asked = [(seen.target, seen.headers["x-goog-api-key"], seen.json()) for seen in google.seen]
    assert asked == 2 * [
        (f"{model}:generateContent", "secret-key", body),
        (f"{model}:streamGenerateContent?alt=sse", "secret-key", body),
    ]


def test_questions(google: Any) -> None:
    backend = create(context(base_url=f"{google.url}/v1beta1", api_key="secret-key", project="p"))
    google.answer = lambda request: (
        PROVIDER.models(["gemini-3-pro"]) if request.method == "GET" else PROVIDER.tokens(31)
    )
    assert [card.name for card in backend.list_models()] == ["gemini-3-pro"]
    assert backend.count_tokens(REQUEST) == 31
    backend.check_health()
    backend.close()
    assert [seen.target for seen in google.seen] == [
        "/v1beta1/publishers/google/models",
        f"/v1beta1/projects/p/locations/global{PLAIN}".replace("generateContent", "countTokens"),
        "/v1beta1/publishers/google/models",
    ]


def test_the_key_does_not_appear_in_an_error(google: Any) -> None:
    google.answer = lambda request: PROVIDER.error(401, "API key secret-key is not valid")
    with Client(**arguments(google.url)) as client:
        with pytest.raises(AuthenticationError, match=r"key \*\*\* is not valid") as caught:
            client.chat("google-vertex:gemini-3-pro", "Hello")
        assert caught.value.status == 401
        assert "secret-key" not in repr(client) + repr(caught.value)
