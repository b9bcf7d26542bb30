"""What a request may hold: nothing that would make the server fetch something from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from andon.chat import ChatRequest
from andon.errors import PrivacyViolation
from andon.messages import ChatMessage, ImagePart
from andon.privacy import PrivacyTier

#: An image that is there already: by value, or a file where the server runs. A path with two
#: slashes is another machine's to some systems.
_NEAR_IMAGE = re.compile(r"(data:|file:///(?!/)|/(?![/\\]))", re.IGNORECASE)

#: What a server may take for an address; ``//host`` has the scheme of whoever reads it.
_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*:)?[/\\]{2}", re.IGNORECASE)

#: References in a JSON schema that validators follow. ``$schema`` and ``$id`` only name it.
_REFERENCES = {"$ref", "$dynamicRef", "$recursiveRef"}

#: Names of fields whose address a provider fetches when it reads a message of its own again.
_FETCHED = re.compile(r"(^|_|[a-z])(url|uri)s?$", re.IGNORECASE)

_IMAGE_ADVICE = (
    "the server would fetch it, and what the address says would leave with the question; read "
    "the image yourself, and give it as a URL that begins with data:image/png;base64,"
)


def check_payload(tier: PrivacyTier, request: ChatRequest) -> None:
    """Check that nothing in a request makes its server reach out.

    A server on this machine fetches an image by its address just as a distant one does, and the
    address can carry data. Tools of a provider's own (web search, remote MCP servers) and callbacks
    have no place in a request of andon's at all.

    :param tier: where the data of the request may go; ``STANDARD`` allows everything.
    :param request: the request.
    :raises PrivacyViolation: it holds an address that somebody would fetch.
    """
    if tier is PrivacyTier.STANDARD:
        return
    for message in request.messages:
        _check_message(tier, message)
    schemas: list[tuple[str, Any]] = [
        (f"the tool {tool.name!r}", tool.parameters) for tool in request.tools
    ]
    schemas.append(("response_format", request.response_format.schema))
    for what, schema in schemas:
        for field, value in _texts(schema):
            if field in _REFERENCES and _ADDRESS.match(value):
                raise PrivacyViolation(
                    f"the privacy tier {tier} does not allow the schema of {what} to refer to "
                    f"{value:.80}, which may be fetched; put that part into the schema itself"
                )


def _check_message(tier: PrivacyTier, message: ChatMessage) -> None:
    for part in message.content if isinstance(message.content, tuple) else ():
        if isinstance(part, ImagePart) and not _NEAR_IMAGE.match(part.url):
            raise PrivacyViolation(
                f"the privacy tier {tier} does not allow an image by address ({part.url:.80}): "
                f"{_IMAGE_ADVICE}"
            )
    for state in message.provider_state:
        for field, value in _texts(_read(state.data)):
            if _FETCHED.search(field) and _ADDRESS.match(value):
                raise PrivacyViolation(
                    f"the privacy tier {tier} does not allow {field} ({value:.80}) in what a "
                    f"message keeps for its provider: {_IMAGE_ADVICE}"
                )


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # Nobody else will read it either.
        return None


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Give every text of a JSON value, with the name of the nearest field around it."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        field, found = waiting.pop()
        if isinstance(found, str):
            yield field, found
        elif isinstance(found, Mapping):
            waiting += [(str(name), inner) for name, inner in found.items()]
        elif isinstance(found, list | tuple):
            waiting += [(field, inner) for inner in found]
