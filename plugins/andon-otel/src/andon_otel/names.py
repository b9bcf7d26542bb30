"""The names that spans and measurements go by.

Source: the semantic conventions for generative AI, github.com/open-telemetry/
semantic-conventions-genai, ``docs/gen-ai``, as of 2026-10; what begins with ``andon.`` is ours.
They are in development and may change; the constants of the Python package are marked deprecated
since the conventions moved, so they are written out here.
"""

from __future__ import annotations

from collections.abc import Mapping

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_STOP = "gen_ai.request.stop_sequences"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  a name
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
ERROR_TYPE = "error.type"

COST = "andon.cost_usd"
LABEL = "andon.label."
WAITED = "andon.queue.duration"
BACKEND = "andon.backend"
MODEL = "andon.model"
ATTEMPT = "andon.attempt"
RESERVED = "andon.reserved_usd"
ATTEMPT_INPUT_TOKENS = "andon.usage.input_tokens"
ATTEMPT_OUTPUT_TOKENS = "andon.usage.output_tokens"
ESTIMATED = "andon.usage.estimated"

#: What ``error.type`` is where the caller went away.
CANCELLED = "cancelled"

#: The conventions' names of providers, where they are not those of andon's backends.
_PROVIDERS: Mapping[str, str] = {
    "aws-bedrock": "aws.bedrock",
    "azure-openai": "azure.ai.openai",
    "google-vertex": "gcp.vertex_ai",
}


def provider(backend: str) -> str:
    """Return the conventions' name of a backend.

    :param backend: its name in andon.
    """
    return _PROVIDERS.get(backend, backend)
