"""LangChain's own chat model, answered by andon: through the openai SDK, with andon-openai-sdk.

Start it with ``python langchain_chat.py``.
"""

from __future__ import annotations

import httpx2
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

import andon
from andon_openai_sdk import BASE_URL
from andon_openai_sdk.transport import AsyncTransport, Transport


def chat_model(model: str, client: andon.Client, async_client: andon.AsyncClient) -> ChatOpenAI:
    """Return a chat model of LangChain's; it goes wherever one of OpenAI's goes."""
    return ChatOpenAI(
        model=model,
        base_url=BASE_URL,
        api_key="andon",
        max_retries=0,
        http_client=httpx2.Client(transport=Transport(client)),
        http_async_client=httpx2.AsyncClient(transport=AsyncTransport(async_client)),
    )


def main() -> str:
    """Ask in LangChain's way."""
    with andon.Client(privacy="sovereign") as client:
        model = chat_model("llama-cpp:demo", client, andon.AsyncClient(privacy="sovereign"))
        prompt = ChatPromptTemplate.from_template("What is the capital of {country}?")
        return str((prompt | model).invoke({"country": "France"}).content)


if __name__ == "__main__":
    print(main())
