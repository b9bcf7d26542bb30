"""What models cost at the known providers, from the table of genai-prices.

The table is part of the installed package and never fetched; a newer one comes with a newer
version of it. It is read at the first question.
"""

from __future__ import annotations

from andon.hookspecs import hookimpl
from andon.specs import Price

#: Where the providers of andon's backends stand in the table. What is left out here (one's own
#: servers, deployments, routers that choose a provider by themselves) has no price per token that
#: a table could know.
PROVIDERS = {
    "anthropic": "anthropic",
    "aws-bedrock": "aws",
    "azure-openai": "azure",
    "fireworks": "fireworks",
    "google-vertex": "google",
    "groq": "groq",
    "modal": "modal",
    "openai": "openai",
    "together": "together",
}


@hookimpl
def andon_price(backend: str, model: str) -> Price | None:
    """Say what a model costs at this moment."""
    provider = PROVIDERS.get(backend)
    if provider is None:
        return None
    from andon_prices.table import find

    return find(provider, model)
