"""Google's own SDK sends what andon sends, and reads what the provider for tests writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import andon_google_vertex
from andon import BackendContext
from andon.backends.http_backend import HTTPBackend
from andon.chat import (
    ChatRequest,
    FinishReason,
    ResponseFormat,
    Sampling,
    TokenLogprob,
    Tool,
    Usage,
)
from andon.messages import ChatMessage, ImagePart, ProviderState, TextPart, ToolCall
from andon.testing.provider import SampleAnswer, SampleStream
from andon.testing.providers.gemini import GeminiProvider
from andon.wire.dialect import HTTPReply

genai = pytest.importorskip("google.genai", reason="the official SDK is not installed")
types = pytest.importorskip("google.genai.types")
oauth = pytest.importorskip("google.oauth2.credentials")

PROVIDER = GeminiProvider()
SCHEMA = {
    "type": "object", "properties": {"city_name": {"type": "string"}}, "required": ["city_name"],
    "additionalProperties": False,
}  # fmt: skip
WEATHER = Tool("weather", "Tell the weather.", SCHEMA)
TIME = Tool("time")
SIGNATURE = base64.b64encode(b"signed").decode()
HELLO = ChatMessage.user("Hello")
CALLS = (ToolCall("c1", "weather", '{"city_name":"Köln"}'), ToolCall("c2", "time", "{}"))
ROLE = "the SDK gives instructions a role, which Google does not read"
ARGS = "no arguments are an empty object; the SDK leaves them out as they were given to it"


def state(*pieces: dict[str, Any]) -> tuple[ProviderState, ...]:
    return (ProviderState("gemini-generate-content", json.dumps(pieces)),)


def chat(*messages: ChatMessage, model: str = "gemini-3-pro", **fields: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=messages or (HELLO,), **fields)


def content(role: str, *parts: Any) -> Any:
    return types.Content(role=role, parts=list(parts))


def said(text: str, **more: Any) -> Any:
    return types.Part(text=text, **more)


def called(
    name: str, args: dict[str, Any] | None = None, identifier: str | None = None, **more: Any
) -> Any:
    return types.Part(function_call=types.FunctionCall(name=name, args=args, id=identifier), **more)


def answered(name: str, response: dict[str, Any], identifier: str | None = None) -> Any:
    result = types.FunctionResponse(name=name, response=response, id=identifier)
    return types.Part(function_response=result)


def declared(*more: str) -> Any:
    weather = types.FunctionDeclaration(
        name="weather", description="Tell the weather.", parameters_json_schema=SCHEMA
    )
    return [
        types.Tool(
            function_declarations=[
                weather,
                *(types.FunctionDeclaration(name=name) for name in more),
            ]
        )
    ]


def calling(mode: str, *names: str) -> Any:
    config = types.FunctionCallingConfig(mode=mode, allowed_function_names=list(names) or None)
    return types.ToolConfig(function_calling_config=config)


@dataclass
class Case:
    """One logical request: andon's form, and the SDK's contents and configuration for it."""

    request: ChatRequest
    contents: Any = field(default_factory=lambda: [content("user", said("Hello"))])
    config: Mapping[str, Any] = field(default_factory=dict)
    #: Places of the body in which the two differ, each with its reason.
    differs: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=lambda: {"project": "pj", "location": "eu"})


def thinking(**fields: Any) -> dict[str, Any]:
    return {"thinking_config": types.ThinkingConfig(include_thoughts=True, **fields)}


CASES = {
    "plain": Case(chat()),
    "in express mode": Case(chat(), options={"api_key": "K"}),
    "a model of another publisher": Case(chat(model="meta/llama-4")),
    "a model's whole path": Case(chat(model="publishers/google/models/gemini-3-pro")),
    "a tuned model": Case(chat(model="projects/q/locations/us/endpoints/7")),
    "instructions": Case(
        chat(ChatMessage.system("Be brief."), HELLO),
        config={"system_instruction": "Be brief."},
        differs={"systemInstruction.role": ROLE},
    ),
    "turns": Case(
        chat(HELLO, ChatMessage.assistant("Hi!"), ChatMessage.user("é\u2028😀")),
        [content("user", said("Hello")), content("model", said("Hi!")), content("user", said("é\u2028😀"))],
    ),
    "images": Case(
        chat(
            ChatMessage.user(
                [
                    TextPart("What?"), ImagePart("data:image/png;base64,iVBORw0KGgo="),
                    ImagePart("gs://bucket/cat.jpg"),
                ]
            )
        ),
        [
            content(
                "user",
                said("What?"),
                types.Part.from_bytes(data=base64.b64decode("iVBORw0KGgo="), mime_type="image/png"),
                types.Part.from_uri(file_uri="gs://bucket/cat.jpg", mime_type="image/jpeg"),
            )
        ],
    ),
    "tools": Case(chat(tools=(WEATHER, TIME)), config={"tools": declared("time")}),
    "tools, auto": Case(
        chat(tools=(WEATHER,)),
        config={"tools": declared(), "tool_config": calling("AUTO")},
        differs={"toolConfig": "AUTO is what Google does by default, and left out"},
    ),
    "tools, none": Case(
        chat(tools=(WEATHER,), tool_choice="none"),
        config={"tools": declared(), "tool_config": calling("NONE")},
    ),
    "tools, required": Case(
        chat(tools=(WEATHER,), tool_choice="required"),
        config={"tools": declared(), "tool_config": calling("ANY")},
    ),
    "tools, one by name": Case(
        chat(tools=(WEATHER, TIME), tool_choice="weather"),
        config={"tools": declared("time"), "tool_config": calling("ANY", "weather")},
    ),
    "parallel calls and their results": Case(
        chat(
            HELLO,
            replace(
                ChatMessage.assistant("So:", CALLS),
                provider_state=state({"text": 3}, {"call": "", "signature": SIGNATURE}, {"call": ""}),
            ),
            ChatMessage.tool('{"sky": "grau"}', "c1"),
            ChatMessage.tool("noon", "c2"),
            tools=(WEATHER, TIME),
        ),
        [
            content("user", said("Hello")),
            content(
                "model", said("So:"),
                called("weather", {"city_name": "Köln"}, thought_signature=b"signed"), called("time"),
            ),
            content("user", answered("weather", {"sky": "grau"}), answered("time", {"output": "noon"})),
        ],
        {"tools": declared("time")},
        {"contents.1.parts.2.functionCall.args": ARGS},
    ),
    "a call with an id of Gemini's": Case(
        chat(
            HELLO,
            replace(
                ChatMessage.assistant("", CALLS[:1]),
                provider_state=state({"call": "g-1", "signature": SIGNATURE}),
            ),
            ChatMessage.tool('{"sky": "grau"}', "c1"),
            tools=(WEATHER,),
        ),
        [
            content("user", said("Hello")),
            content(
                "model",
                called("weather", {"city_name": "Köln"}, "g-1", thought_signature=b"signed"),
            ),
            content("user", answered("weather", {"sky": "grau"}, "g-1")),
        ],
        {"tools": declared()},
    ),
    "a call that another provider made": Case(
        chat(HELLO, ChatMessage.assistant("", CALLS[:1]), ChatMessage.tool("grau", "c1")),
        [
            content("user", said("Hello")),
            content("model", called("weather", {"city_name": "Köln"})),
            content("user", answered("weather", {"output": "grau"})),
        ],
        differs={
            "contents.1.parts.0.thoughtSignature":
            "the SDK sends what Gemini 3 refuses; andon sends Google's mark for such calls"
        },
    ),
    "signed text": Case(
        chat(
            HELLO,
            replace(
                ChatMessage.assistant("Hi!"),
                provider_state=state({"text": 2}, {"text": 1, "signature": SIGNATURE}),
            ),
            HELLO,
        ),
        [
            content("user", said("Hello")),
            content("model", said("Hi"), said("!", thought_signature=b"signed")),
            content("user", said("Hello")),
        ],
    ),
    "any JSON": Case(
        chat(response_format=ResponseFormat("json_object")),
        config={"response_mime_type": "application/json"},
    ),
    "a JSON schema": Case(
        chat(response_format=ResponseFormat("json_schema", SCHEMA)),
        config={"response_mime_type": "application/json", "response_json_schema": SCHEMA},
    ),
    "sampling": Case(
        chat(sampling=Sampling(99, temperature=0, top_p=0.5, stop=("END", "\n"), seed=7)),
        config={
            "max_output_tokens": 99, "temperature": 0, "top_p": 0.5, "seed": 7,
            "stop_sequences": ["END", "\n"],
        },
    ),
    "log probabilities": Case(
        chat(top_logprobs=3), config={"response_logprobs": True, "logprobs": 3}
    ),
    "a thinking level": Case(
        chat(reasoning_effort="low"), config=thinking(thinking_level=types.ThinkingLevel.LOW)
    ),
    "a thinking budget": Case(
        chat(model="gemini-2.5-flash", reasoning_effort="medium"),
        config=thinking(thinking_budget=8192),
    ),
    "a message to continue": Case(
        chat(HELLO, ChatMessage.assistant("One, two,"), continue_final_message=True),
        [content("user", said("Hello")), content("model", said("One, two,"))],
    ),
}  # fmt: skip


@pytest.fixture
def sdk(google: Any) -> Iterator[Callable[..., Any]]:
    """Return what makes the SDK's clients."""
    made = []

    def make(options: Mapping[str, str]) -> Any:
        signed: dict[str, Any] = dict(options)
        if "project" in signed:
            signed["credentials"] = oauth.Credentials("T", quota_project_id="quota")
        address = types.HttpOptions(base_url=google.url)
        made.append(genai.Client(vertexai=True, http_options=address, **signed))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def backend(google: Any, tmp_path: Any) -> Iterator[Callable[..., HTTPBackend]]:
    """Return what makes andon's backend with the same credentials."""
    made: list[HTTPBackend] = []
    user = {
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": f"{google.url}/token", "quota_project_id": "quota",
    }  # fmt: skip
    (tmp_path / "user.json").write_text(json.dumps(user))

    def make(options: Mapping[str, str]) -> HTTPBackend:
        given: dict[str, Any] = {"base_url": f"{google.url}/v1beta1", **options}
        if "project" in options:
            given["credentials_file"] = str(tmp_path / "user.json")
        [spec] = andon_google_vertex.andon_register_backends()
        created = spec.create(BackendContext(options=given))
        assert isinstance(created, HTTPBackend)
        made.append(created)
        return created

    yield make
    for created in made:
        created.close()


@pytest.fixture(autouse=True)
def serve(google: Any, answer_with: Callable[[int, Any], HTTPReply]) -> None:
    """Let the server give tokens and answers."""

    def answer(seen: Any) -> HTTPReply | SampleStream:
        if seen.target == "/token":
            return answer_with(200, {"access_token": "T", "expires_in": 3600})
        sample = SampleAnswer()
        return PROVIDER.stream(sample) if "alt=sse" in seen.target else PROVIDER.whole(sample)

    google.answer = answer


def camel(value: Any, *, data: bool = False) -> Any:
    """Return a body with its names in camel case: the SDK mixes them, and Google reads both."""
    if isinstance(value, list):
        return [camel(item, data=data) for item in value]
    if not isinstance(value, dict):
        return value
    if data:
        return {name: camel(inner, data=True) for name, inner in value.items()}
    named = {}
    for name, inner in value.items():
        first, *rest = name.split("_")
        better = first + "".join(map(str.capitalize, rest))
        # Inside of these, names are the user's own.
        users = better in {"args", "response", "parametersJsonSchema", "responseJsonSchema"}
        named[better] = camel(inner, data=users)
    return named


MISSING = object()


def take(body: Any, path: str) -> Any:
    """Remove and return what stands at a path, or return MISSING."""
    *way, last = path.split(".")
    for step in way:
        body = body[int(step)] if isinstance(body, list) else body.get(step, {})
    return body.pop(last, MISSING)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_official_sdk_sends_the_same(
    case: Case, stream: bool, google: Any, sdk: Any, backend: Any
) -> None:
    models = sdk(case.options).models
    config = types.GenerateContentConfig(**case.config) if case.config else None
    arguments = {"model": case.request.model, "contents": case.contents, "config": config}
    if stream:
        list(models.generate_content_stream(**arguments))
    else:
        models.generate_content(**arguments)
    list(backend(case.options).stream(replace(case.request, stream=stream), None))
    theirs, ours = (seen for seen in google.seen if seen.target != "/token")
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    for name in ("authorization", "x-goog-api-key", "x-goog-user-project", "content-type"):
        assert ours.headers.get(name) == theirs.headers.get(name)
    our_body, their_body = ours.json(), camel(theirs.json())
    if their_body.get("generationConfig") == {}:
        # The SDK sends it empty where its configuration says nothing of the generation.
        del their_body["generationConfig"]
    for path in case.differs:
        # A difference is listed as long as there is one, and no longer.
        assert take(our_body, path) != take(their_body, path)
    assert our_body == their_body


def test_the_official_sdk_counts_with_the_same(google: Any, sdk: Any, backend: Any) -> None:
    google.answer = lambda seen: PROVIDER.tokens(31)
    config = types.CountTokensConfig(
        tools=declared(), system_instruction=content("user", said("Be brief."))
    )
    options = {"api_key": "K"}
    counted = sdk(options).models.count_tokens(
        model="gemini-3-pro", contents=[content("user", said("Hello"))], config=config
    )
    request = chat(ChatMessage.system("Be brief."), HELLO, tools=(WEATHER,))
    assert backend(options).count_tokens(request) == counted.total_tokens == 31
    theirs, ours = google.seen
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    their_body = camel(theirs.json())
    assert their_body["systemInstruction"].pop("role") == "user"  # ROLE, above
    assert ours.json() == their_body


def test_the_official_sdk_lists_the_same_models(google: Any, sdk: Any, backend: Any) -> None:
    google.answer = lambda seen: PROVIDER.models(["gemini-3-pro", "gemini-2.5-flash"])
    options = {"api_key": "K"}
    listed = [model.name for model in sdk(options).models.list()]
    found = [card.name for card in backend(options).list_models()]
    assert [f"publishers/google/models/{name}" for name in found] == listed
    theirs, ours = google.seen
    assert (ours.method, ours.target) == (theirs.method, theirs.target)


# -- What the provider for tests writes ------------------------------------------------------------

SAMPLE = SampleAnswer(
    reasoning=("Hm", "."),
    tool_calls=(ToolCall("g1", "weather", '{"city_name":"Köln"}'), ToolCall("g2", "time", "{}")),
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(12, 7, cached_input_tokens=4, reasoning_tokens=2),
    logprobs=tuple(TokenLogprob(text, -0.5, ((text, -0.5),)) for text in SampleAnswer().text),
)


def ask(client: Any, *, stream: bool) -> list[Any]:
    if stream:
        return list(client.models.generate_content_stream(model="m", contents="Hello"))
    return [client.models.generate_content(model="m", contents="Hello")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("reason", FinishReason)
def test_the_official_sdk_reads_samples_as_they_were_meant(
    reason: FinishReason, stream: bool, google: Any, sdk: Any
) -> None:
    calls = SAMPLE.tool_calls if reason is FinishReason.TOOL_CALLS else ()
    sample = replace(SAMPLE, finish_reason=reason, tool_calls=calls)
    google.answer = lambda seen: PROVIDER.stream(sample) if stream else PROVIDER.whole(sample)
    chunks = ask(sdk({"api_key": "K"}), stream=stream)
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text or "" for part in parts if part.thought) == "Hm."
    assert "".join(part.text or "" for part in parts if not part.thought) == "Hello, wörld!"
    found = [part.function_call for part in parts if part.function_call]
    assert [(call.id, call.name, call.args) for call in found] == [
        (call.id, call.name, json.loads(call.arguments)) for call in calls
    ]
    assert [bool(part.thought_signature) for part in parts if part.function_call] == (
        [True, False] if calls else []
    )
    last = chunks[-1]
    counts = last.usage_metadata
    assert (counts.prompt_token_count, counts.cached_content_token_count) == (12, 4)
    assert (counts.candidates_token_count, counts.thoughts_token_count) == (5, 2)
    assert last.candidates[0].finish_reason in set(types.FinishReason)
    assert (last.model_version, bool(last.response_id)) == ("sample-model", True)
    results = [chunk.candidates[0].logprobs_result for chunk in chunks]
    chosen = [token for result in results if result for token in result.chosen_candidates]
    assert [token.token for token in chosen] == list(sample.text)


def test_the_sdks_types_know_every_field_of_a_sample() -> None:
    """Validated without its leniency: a name that Google does not have would be an error."""
    body = json.loads(PROVIDER.whole(SAMPLE).body)
    read = types.GenerateContentResponse.model_validate(body)
    written = camel(json.loads(read.model_dump_json(exclude_none=True)))
    assert take(written, "candidates.0.content.parts.6.thoughtSignature")
    assert take(body, "candidates.0.content.parts.6.thoughtSignature")
    assert take(written, "createTime")
    assert take(body, "createTime")
    assert written == body


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_the_official_sdk_reads_errors(status: int, google: Any, sdk: Any) -> None:
    google.answer = lambda seen: PROVIDER.error(status, "It failed.")
    with pytest.raises(genai.errors.APIError) as caught:
        ask(sdk({"api_key": "K"}), stream=False)
    assert (caught.value.code, caught.value.message) == (status, "It failed.")
    assert caught.value.status


def test_the_official_sdk_reads_an_error_in_a_stream(google: Any, sdk: Any) -> None:
    stream = PROVIDER.stream(SAMPLE)
    broken = replace(stream, end=PROVIDER.stream_error("It failed."))
    google.answer = lambda seen: broken
    texts = []
    with pytest.raises(genai.errors.APIError) as caught:  # noqa: PT012  # what came before counts
        for chunk in sdk({"api_key": "K"}).models.generate_content_stream(model="m", contents="Hi"):
            texts.append(chunk.candidates[0].content.parts[0].text)
    assert (caught.value.code, caught.value.message) == (499, "It failed.")
    assert len(texts) == len(stream.events)
