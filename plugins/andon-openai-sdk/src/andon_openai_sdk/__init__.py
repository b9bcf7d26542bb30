"""The openai SDK, answered by andon inside the process.

A program that speaks to OpenAI through the SDK keeps its code and its objects; where its requests
go, andon decides: any backend, within the privacy tier and the budget, with failover. No server
runs, and nothing is sent but what andon sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

    import andon

__all__ = ["async_openai_client", "openai_client"]

#: Nobody's address: the transport answers before a name would be looked up.
BASE_URL = "http://andon.invalid/v1"


def openai_client(client: andon.Client, **options: Any) -> openai.OpenAI:
    """Return a client of the openai SDK whose requests andon answers.

    A model is named as ``backend:model``, or by the name of a route. The SDK's own retries are
    off, since andon has asked again and elsewhere before it gives up.

    :param client: answers the requests; closing it is the caller's.
    :param options: further arguments of ``openai.OpenAI``.
    """
    import httpx2
    import openai

    from andon_openai_sdk.transport import Transport

    http = httpx2.Client(transport=Transport(client), trust_env=False)
    options = {"max_retries": 0, **options}
    return openai.OpenAI(base_url=BASE_URL, api_key="andon", http_client=http, **options)


def async_openai_client(client: andon.AsyncClient, **options: Any) -> openai.AsyncOpenAI:
    """Return an asynchronous client of the openai SDK; see :func:`openai_client`.

    :param client: answers the requests; closing it is the caller's.
    :param options: further arguments of ``openai.AsyncOpenAI``.
    """
    import httpx2
    import openai

    from andon_openai_sdk.transport import AsyncTransport

    http = httpx2.AsyncClient(transport=AsyncTransport(client), trust_env=False)
    options = {"max_retries": 0, **options}
    return openai.AsyncOpenAI(base_url=BASE_URL, api_key="andon", http_client=http, **options)
