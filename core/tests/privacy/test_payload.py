"""What a request may not hold where data stays near, and that nothing is sent then."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    ChatMessage,
    Client,
    ImagePart,
    InvalidRequestError,
    PrivacyTier,
    PrivacyViolation,
    ProviderState,
    Role,
    TextPart,
    Tool,
)
from andon.chat import ChatRequest, ResponseFormat
from andon.privacy.payload import check_payload
from andon.testing import ScriptedBackend, plugin_with

PIXEL = "data:image/png;base64,iVBORw0KGgo="
NEAR_TIERS = [PrivacyTier.SOVEREIGN, PrivacyTier.PRIVATE]
REMOTE = [
    "https://example.com/x.png?d=secret",
    "http://127.0.0.1/x.png",
    " https://example.com/x.png",
    "HTTPS://example.com/x.png",
    "\thttps://example.com/x.png",
    "//example.com/x.png",
    "\\\\example.com\\share\\x.png",
    "/\\example.com/x.png",
    "ftp://example.com/x.png",
    "file://example.com/share/x.png",
    "file:////example.com/share/x.png",
    "s3://bucket/x.png",
    "gs://bucket/x.png",
    "example.com/x.png",
    "",
]


def asking(url: str) -> ChatRequest:
    parts = [TextPart("What is this?"), ImagePart(url)]
    return ChatRequest(model="m", messages=(ChatMessage.user(parts),))


@pytest.mark.parametrize("tier", NEAR_TIERS)
@pytest.mark.parametrize("url", REMOTE)
def test_an_image_by_address_is_refused(tier: PrivacyTier, url: str) -> None:
    with pytest.raises(PrivacyViolation, match="data:image/png;base64"):
        check_payload(tier, asking(url))


@pytest.mark.parametrize("url", [PIXEL, "DATA:image/png;base64,AA==", "file:///x.png", "/a/x.png"])
def test_an_image_that_is_there_is_allowed(url: str) -> None:
    for tier in PrivacyTier:
        check_payload(tier, asking(url))


def test_standard_allows_every_image() -> None:
    check_payload(PrivacyTier.STANDARD, asking("https://example.com/x.png"))


@given(st.text(max_size=30))
def test_no_image_address_is_too_odd(text: str) -> None:
    try:
        check_payload(PrivacyTier.SOVEREIGN, asking(text))
    except PrivacyViolation:
        return
    assert text.lower().startswith(("data:", "file:///", "/")) and not text.startswith("//")


@pytest.mark.parametrize("stage", ["chat", "stream", "count_tokens"])
def test_nothing_is_sent_then(stage: str) -> None:
    backend = ScriptedBackend()
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": REMOTE[0]}}]}
    with (
        Client(discover=False, plugins=[plugin_with(one=backend)], privacy="sovereign") as client,
        pytest.raises(PrivacyViolation, match="image by address"),
    ):
        list(getattr(client, stage)("one:m", [message]))
    assert backend.requests == []


def test_schemas_do_not_refer_elsewhere() -> None:
    schema = {"properties": {"a": {"anyOf": [{"$ref": "https://example.com/s.json"}]}}}
    tool = Tool("search", parameters=schema)
    text = ChatMessage.user("hi")
    for request in (
        ChatRequest(model="m", messages=(text,), tools=(tool,)),
        ChatRequest(
            model="m", messages=(text,), response_format=ResponseFormat("json_schema", schema)
        ),
    ):
        with pytest.raises(PrivacyViolation, match=r"example\.com"):
            check_payload(PrivacyTier.SOVEREIGN, request)
        check_payload(PrivacyTier.STANDARD, request)


def test_schemas_may_name_themselves_and_refer_to_their_parts() -> None:
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/s.json",
        "$defs": {"n": {"type": "integer", "description": "see https://example.com"}},
        "properties": {"n": {"$ref": "#/$defs/n"}},
    }
    tool = Tool("search", "looks at https://example.com", schema)
    request = ChatRequest(model="m", messages=(ChatMessage.user("https://x.y"),), tools=(tool,))
    check_payload(PrivacyTier.SOVEREIGN, request)


def test_what_is_kept_for_a_provider_is_looked_at_as_well() -> None:
    def kept(value: Any) -> ChatRequest:
        state = ProviderState("openai-responses", json.dumps(value))
        message = ChatMessage(Role.ASSISTANT, "x", provider_state=(state,))
        return ChatRequest(model="m", messages=(message,))

    for field in ("image_url", "file_url", "server_url", "fileUri", "url"):
        with pytest.raises(PrivacyViolation, match=field):
            check_payload(PrivacyTier.SOVEREIGN, kept([{"a": {field: "https://example.com"}}]))
    check_payload(PrivacyTier.SOVEREIGN, kept({"text": "https://example.com", "url": PIXEL}))
    check_payload(
        PrivacyTier.SOVEREIGN,
        ChatRequest(
            model="m",
            messages=(
                ChatMessage(Role.ASSISTANT, "", provider_state=(ProviderState("d", "no JSON"),)),
            ),
        ),
    )


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "mcp", "server_label": "x", "server_url": "https://example.com/sse"},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ],
)
def test_tools_of_a_providers_own_have_no_place_in_a_request(tool: dict[str, Any]) -> None:
    backend = ScriptedBackend()
    with (
        Client(discover=False, plugins=[plugin_with(one=backend)], privacy="sovereign") as client,
        pytest.raises(InvalidRequestError, match="a tool must be"),
    ):
        client.chat("one:m", "hi", tools=[tool])
    assert backend.requests == []


@pytest.mark.parametrize(
    "option", ["base_url", "proxy", "webhook", "callback_url", "extra_body", "extra_headers"]
)
def test_a_request_has_no_option_that_sends_it_elsewhere(option: str) -> None:
    backend = ScriptedBackend()
    with (
        Client(discover=False, plugins=[plugin_with(one=backend)], privacy="sovereign") as client,
        pytest.raises(TypeError, match=option),
    ):
        client.chat("one:m", "hi", **{option: "https://example.com"})
    assert backend.requests == []
