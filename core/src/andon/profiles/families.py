"""What andon knows of model families by itself: dated facts, each with its source.

Only what makes a request fail, or go elsewhere than meant, is written down; what is not here is
sent as it was asked. Names are those of the models' makers, with ``*`` before them where clouds
put a region or a vendor in front.
"""

from __future__ import annotations

from andon.specs import ModelProfile

_AS_OF = "2026-11-22"
_OPENAI = "developers.openai.com, guide on reasoning models; openai-python 3.54, ReasoningEffort"
_ANTHROPIC = "platform.claude.com, API versioning and models overview; anthropic-sdk 2.12"
_GOOGLE = "cloud.google.com, Vertex AI, Gemini models; google-genai 3.4"
_LITELLM = "litellm 1.109, model_prices_and_context_window"

_IMAGES = "developers.openai.com, guide on images and vision"

_CONFIG = "huggingface.co, the models' config.json"

_MILLION = 1_048_576

FAMILIES: tuple[ModelProfile, ...] = (
    # OpenAI. Models that reason take no sampling parameters; none continues a message.
    ModelProfile(
        models=("gpt-5*", "gpt-6*", "o1*", "o3*", "o4-*", "*openai.gpt-5*", "*openai.gpt-6*"),
        sampling=False,
        sampling_without_reasoning=True,
        prefill=False,
        max_tokens_field="max_completion_tokens",
        system_role="developer",
        as_of=_AS_OF,
        source=_OPENAI,
    ),
    ModelProfile(
        models=("gpt-5*",),
        context_window=400_000,
        max_output_tokens=128_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("o1*", "o3*", "o4-*"),
        context_window=200_000,
        max_output_tokens=100_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("o1-mini*", "o1-preview*"),
        context_window=128_000,
        max_output_tokens=65_536,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-5.4*", "gpt-5.5*", "gpt-5.6*", "gpt-6*"),
        context_window=1_050_000,
        max_output_tokens=128_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-5.4-mini*", "gpt-5.4-nano*", "gpt-5-mini*", "gpt-5-nano*"),
        context_window=400_000,
        max_output_tokens=128_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-4o*", "gpt-4.1*", "gpt-4-turbo*", "gpt-3.5-turbo*"),
        prefill=False,
        reasoning_efforts=(),
        as_of=_AS_OF,
        source=_OPENAI,
    ),
    ModelProfile(
        models=("gpt-4", "gpt-4-0*"),
        prefill=False,
        reasoning_efforts=(),
        context_window=8_192,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-4-32k*",),
        prefill=False,
        reasoning_efforts=(),
        context_window=32_768,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-3.5-turbo*",),
        context_window=16_385,
        max_output_tokens=4_096,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-4o*", "gpt-4-turbo*"),
        context_window=128_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gpt-4.1*",),
        context_window=1_047_576,
        max_output_tokens=32_768,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    # What one image costs at most: tiles of 512 pixels and a base, or patches and a factor. Of a
    # model that is not here, andon takes 10,000 tokens.
    ModelProfile(
        models=("gpt-4o*", "gpt-4.1", "gpt-4.1-2*", "gpt-4-turbo*"),
        image_tokens=85 + 8 * 170,
        as_of=_AS_OF,
        source=_IMAGES,
    ),
    ModelProfile(
        models=("gpt-4o-mini*",),
        image_tokens=2_833 + 8 * 5_667,
        as_of=_AS_OF,
        source=_IMAGES,
    ),
    ModelProfile(
        models=("gpt-4.1-mini*", "gpt-4.1-nano*", "gpt-5-mini*", "gpt-5-nano*", "o4-mini*"),
        image_tokens=3_779,
        as_of=_AS_OF,
        source=_IMAGES,
    ),
    ModelProfile(
        models=("gpt-5", "gpt-5-2*", "o1", "o1-2*", "o3", "o3-2*"),
        image_tokens=75 + 8 * 150,
        as_of=_AS_OF,
        source=_IMAGES,
    ),
    # The open weights are served by everybody, and take what their servers take.
    ModelProfile(
        models=("gpt-oss*", "*openai.gpt-oss*"),
        images=False,
        reasoning_efforts=("low", "medium", "high"),
        context_window=131_072,
        as_of=_AS_OF,
        source="openai.com, gpt-oss model card",
    ),
    # Anthropic. From 4.6 on no message is continued, from 4.7 on no sampling parameter is taken.
    ModelProfile(
        models=("*claude-*",),
        sampling=False,
        prefill=False,
        image_tokens=4_784,
        context_window=1_000_000,
        max_output_tokens=128_000,
        as_of=_AS_OF,
        source=_ANTHROPIC,
    ),
    ModelProfile(
        models=("*claude-sonnet-4-6*", "*claude-opus-4-6*"),
        sampling=True,
        as_of=_AS_OF,
        source=_ANTHROPIC,
    ),
    ModelProfile(
        models=("*claude-haiku-4-5*", "*claude-sonnet-4-5*", "*claude-opus-4-5*"),
        sampling=True,
        prefill=True,
        context_window=200_000,
        max_output_tokens=64_000,
        as_of=_AS_OF,
        source=_ANTHROPIC,
    ),
    ModelProfile(
        models=(
            "*claude-sonnet-4-0*",
            "*claude-sonnet-4-2025*",
            "*claude-opus-4-0*",
            "*claude-opus-4-1*",
            "*claude-opus-4-2025*",
        ),
        sampling=True,
        prefill=True,
        context_window=200_000,
        max_output_tokens=32_000,
        as_of=_AS_OF,
        source=_ANTHROPIC,
    ),
    ModelProfile(
        models=("*claude-2*", "*claude-v2*", "*claude-instant*"),
        sampling=True,
        prefill=True,
        images=False,
        tools=False,
        reasoning_efforts=(),
        context_window=100_000,
        max_output_tokens=4_096,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("*claude-2.1*",),
        context_window=200_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("*claude-3-*",),
        sampling=True,
        prefill=True,
        reasoning_efforts=(),
        context_window=200_000,
        max_output_tokens=8_192,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("*claude-fable-5*", "*claude-mythos-preview*"),
        forced_tool_choice=False,
        as_of=_AS_OF,
        source="pydantic-ai, profiles of Anthropic's models, verified there 2026-07",
    ),
    # Google. From 3.6 on, and in 3.5 Flash-Lite, neither sampling parameters nor a model's turn
    # at the end are taken.
    ModelProfile(
        models=("gemini-3*", "gemini-4*"),
        context_window=_MILLION,
        max_output_tokens=65_536,
        as_of=_AS_OF,
        source=_GOOGLE,
    ),
    ModelProfile(
        models=("gemini-3.5-flash-lite*", "gemini-3.6*", "gemini-3.7*", "gemini-3.8*"),
        sampling=False,
        prefill=False,
        as_of=_AS_OF,
        source=_GOOGLE,
    ),
    ModelProfile(
        models=("gemini-4-argon*",),
        max_output_tokens=_MILLION,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("gemini-2.5-*",),
        context_window=_MILLION,
        max_output_tokens=65_536,
        as_of=_AS_OF,
        source=_GOOGLE,
    ),
    # Amazon.
    ModelProfile(
        models=("*amazon.nova-micro*",),
        images=False,
        context_window=128_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("*amazon.nova-lite*", "*amazon.nova-pro*"),
        context_window=300_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    ModelProfile(
        models=("*amazon.nova-2-lite*",),
        context_window=1_000_000,
        max_output_tokens=64_000,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
    # Open weights with one long-standing window.
    ModelProfile(
        models=("llama-2-*", "codellama-2-*"),
        context_window=4_096,
        as_of=_AS_OF,
        source=_CONFIG,
    ),
    ModelProfile(
        models=("llama-2-7b-32k*",),
        context_window=32_768,
        as_of=_AS_OF,
        source=_CONFIG,
    ),
    ModelProfile(
        models=("llama-3-*", "meta-llama-3-*"),
        context_window=8_192,
        as_of=_AS_OF,
        source=_CONFIG,
    ),
    ModelProfile(
        models=("mistral-7b-*", "mixtral-8x7b-*"),
        context_window=32_768,
        as_of=_AS_OF,
        source=_CONFIG,
    ),
    ModelProfile(
        models=("llama-3.1-*", "llama-3.2-*", "llama-3.3-*", "meta-llama-3.1-*"),
        context_window=131_072,
        as_of=_AS_OF,
        source=_CONFIG,
    ),
    ModelProfile(
        models=("deepseek-v4*", "kimi-k3*", "glm-5.3*"),
        context_window=_MILLION,
        as_of=_AS_OF,
        source=_LITELLM,
    ),
)
