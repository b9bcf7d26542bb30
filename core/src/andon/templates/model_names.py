"""Which words in a model's name point to which chat format.

Sources: the model cards; FastChat's model adapter as a second opinion. Order matters: the first
rule that matches wins. Formats that are no :class:`~andon.templates.TemplateFormat` are named so
that the error can say what the model needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the tables.

    :param pattern: what to search for in the stripped name, in lower case.
    :param format: the format's name.
    :param variant: its version, or None for its default.
    """

    pattern: re.Pattern[str]
    format: str
    variant: str | None = None


def _rule(pattern: str, template: str, variant: str | None = None) -> Rule:
    return Rule(re.compile(pattern), template, variant)


#: Providers whose name before the slash says that a remote API renders the messages.
API_PROVIDERS = frozenset(
    "ai21 anthropic azure azure_ai bedrock cerebras cohere deepinfra deepseek fireworks "
    "fireworks_ai gemini github_copilot groq mistral nvidia_nim openai openrouter perplexity "
    "replicate sambanova together together_ai vertex_ai xai zai moonshot dashscope".split()
)

#: Names that only remote APIs have.
API_NAMES = re.compile(
    r"^(?:gpt-[345]|gpt-(?:image|realtime|audio)|chatgpt|o[134](?:-|$)|claude|gemini|grok|sonar|nova-"
    r"|text-(?:davinci|embedding)|davinci|babbage|codex|titan|palm|jurassic|j2-|command(?:-light)?$"
    r"|qwen-(?:max|plus|turbo|long|flash)|deepseek-(?:chat|reasoner)$|kimi-latest|moonshot-v1)"
)

#: Fine-tunes and families with a format of their own, which is named after them.
_OWN = tuple(
    "aquila baichuan chatqa ernie exaone gigachat hunyuan jamba magicoder minimax minitron "
    "openbuddy saiga starchat xverse".split()
)

FINE_TUNES: tuple[Rule, ...] = (
    _rule(r"^ggml-vocab|embed|rerank|^bge-|^e5-|^gte-|^nomic|colbert|minilm", "raw"),
    _rule(r"r1-distill|deepseek-?r1|^r1-1776|deepscaler|openthinker.*r1", "deepseek", "r1"),
    _rule(r"chinese-(?:alpaca|llama)-(?:pro-)?2|chinese-alpaca-llama-?2", "llama2"),
    _rule(r"stable-?vicuna|guanaco", "guanaco"),
    _rule(r"vicuna.*(?:delta-v0|-v0(?:\.0)?$)", "vicuna", "v0"),
    _rule(r"orca[-_]?vicuna", "vicuna", "orca"),
    _rule(r"wizard-?(?:coder|math)", "alpaca"),
    _rule(r"wizardlm-7b(?:-v1\.0)?$|wizardlm-7b-uncensored", "alpaca"),
    _rule(r"wizard-?vicuna|wizard-?lm", "vicuna"),
    _rule(r"hermes-?4-(?:70|405)b", "llama3"),
    _rule(
        r"nous-hermes-(?:llama-?2|l2|llama2|7b|13b|70b|llama-?1)|nous-hermes$|^hermes-llama2",
        "alpaca",
    ),
    _rule(r"hermes|nous-capybara-34b.*chatml", "chatml"),
    _rule(r"capybara", "vicuna"),
    _rule(r"samantha.*1\.[01]|synthia", "vicuna", "orca"),
    _rule(r"dolphin|samantha", "chatml"),
    _rule(r"orca[-_]?mini|orcamini", "orca-mini"),
    _rule(r"platypus|mytho(?:max|mist|logic)|dolly", "alpaca"),
    _rule(r"xwin|longchat", "vicuna"),
    _rule(r"beluga", "orca-mini"),
    _rule(r"notus", "zephyr"),
    _rule(r"open-?orca|slim-?orca|mistral-?orca|(?:^|-)orca-?2|jackalope", "chatml"),
    _rule(r"mistrallite", "mistrallite"),
    _rule(r"stablelm-?(?:2-)?zephyr|stablelm2-zephyr", "zephyr", "stablelm"),
    _rule(r"zephyr.*gemma", "chatml"),
    _rule(r"zephyr", "zephyr"),
    _rule(r"tinyllama.*chat-v0\.[34]", "chatml"),
    _rule(r"tinyllama.*chat-v0", "guanaco"),
    _rule(r"tinyllama|tiny-llama", "zephyr"),
    _rule(r"openchat.*3\.6", "openchat-3.6"),
    _rule(r"openchat|starling", "openchat"),
    _rule(r"neural-?chat", "neural-chat"),
    _rule(r"(?:codellama|llama-?2).*oasst|oasst.*(?:llama-?2|sft-v10)", "chatml"),
    _rule(r"oasst|open-?assistant", "oasst"),
    _rule(r"tulu|olmo", "tulu"),
    _rule(r"phind", "phind"),
    _rule(r"airoboros.*3\.", "llama2"),
    _rule(r"airoboros", "vicuna"),
    _rule(r"llava.*34b", "chatml"),
    _rule(r"llava.*mistral|bakllava", "mistral", "v1"),
    _rule(r"llava.*(?:llama-?3|phi|qwen|gemma)", "llava-other"),
    _rule(r"llava|vicuna", "vicuna"),
    _rule(r"alpaca", "alpaca"),
    _rule(r"koala", "koala"),
    _rule(r"gorilla.*openfunctions", "gorilla"),
    _rule(r"functionary", "functionary"),
    _rule(r"nexusraven", "nexusraven"),
    _rule(r"llama-?guard", "llama-guard"),
    *(_rule(word, word) for word in _OWN),
)

FAMILIES: tuple[Rule, ...] = (
    _rule(r"gpt-?oss", "harmony"),
    # DeepSeek
    _rule(r"deepseek-?v3\.[12]|deepseek-?v3-?[12]-", "deepseek", "v3.1"),
    _rule(r"deepseek-?(?:v3|v2\.5|prover-v2)", "deepseek", "v3"),
    _rule(r"deepseek-?coder-?v2", "deepseek", "v2"),
    _rule(r"deepseek-?coder", "deepseek", "coder"),
    _rule(r"deepseek-(?:v2|llm|math|moe|67b|7b)|deepseek-?v2", "deepseek", "v2"),
    # Cohere
    _rule(r"command-?r-?7b|command-?a(?:-|$)", "command-r7b"),
    _rule(r"command-?r|(?:^|-)aya-", "command-r"),
    # Google
    _rule(r"paligemma|recurrentgemma-.*pt", "raw"),
    _rule(r"gemma-?3|medgemma|gemma3n", "gemma", "3"),
    _rule(r"gemma-?2(?!b)|gemma-?1\.1|codegemma-1\.1|shieldgemma|datagemma", "gemma", "2"),
    _rule(r"gemma", "gemma", "1"),
    # Microsoft
    _rule(r"phi-?4-?(?:mini|multimodal)", "phi4", "mini"),
    _rule(r"phi-?4", "phi4"),
    _rule(r"phi-?3\.5", "phi3", "3.5"),
    _rule(r"phi-?3", "phi3", "3"),
    _rule(r"(?:^|-)phi(?:-?[12](?:[._]5)?)?(?:-|$)", "raw"),
    # Alibaba
    _rule(r"qwq|qvq", "chatml"),
    _rule(r"qwen-?3", "qwen", "3"),
    _rule(r"qwen-?2\.5-?vl", "qwen", "2"),
    _rule(r"qwen-?2\.5|qwen2-5", "qwen", "2.5"),
    _rule(r"qwen", "qwen", "2"),
    # Mistral: the version belongs to the tokenizer, and the name only suggests it.
    _rule(r"mixtral-?8x22b|mathstral|codestral", "mistral", "v3"),
    _rule(r"mixtral", "mistral", "v1"),
    _rule(r"mistral-large-3|ministral-3|ministral.*2512|mistral-large.*2512", "mistral", "v13"),
    _rule(
        r"mistral-?nemo|nemo-(?:instruct|base)|minitron|ministral|pixtral-12b",
        "mistral",
        "v3-tekken",
    ),
    _rule(r"mistral-?large.*2407|mistral-?small.*(?:2409|22b)", "mistral", "v3"),
    _rule(r"mistral-?large|pixtral", "mistral", "v7"),
    _rule(
        r"mistral-?small-?3\.2|mistral-?small.*2506|magistral.*2506",
        "mistral",
        "v11",
    ),
    _rule(
        r"magistral|voxtral|mistral-?medium|devstral-(?:2(?:-|$)|medium)|devstral.*(?:2507|2512)",
        "mistral",
        "v13",
    ),
    _rule(r"mistral-?small|devstral", "mistral", "v7-tekken"),
    _rule(r"mistral.*v0\.3|^mistral(?:-7b)?(?:-instruct)?$", "mistral", "v3"),
    _rule(r"mistral", "mistral", "v1"),
    # Meta
    _rule(r"llama-?4(?![\db])", "llama4"),
    _rule(r"llama-?3[.-]1|llama31", "llama3", "3.1"),
    _rule(r"llama-?3[.-]2|llama32", "llama3", "3.2"),
    _rule(r"llama-?3[.-]3|llama33", "llama3", "3.3"),
    _rule(r"llama-?3(?![\db])", "llama3", "3"),
    _rule(r"code-?llama-70b-instruct", "codellama-70b"),
    _rule(r"code-?llama.*python", "raw"),
    _rule(r"code-?llama.*instruct|^codellama$", "llama2"),
    # Plain CodeLlama completes code; its family's chat models are always marked.
    _rule(r"code-?llama", "raw"),
    _rule(r"llama-?2(?![\db])", "llama2"),
    # Others
    _rule(
        r"internlm-?(?:2|3)|(?:^|-)yi-|^yi$|smollm|stablelm-?2|stable-code|dbrx|mpt-.*chat|arctic"
        r"|opencoder|sailor|solar-pro|openthinker",
        "chatml",
    ),
    _rule(r"stablelm-tuned", "stablelm-tuned"),
    _rule(r"mpt-.*instruct", "alpaca"),
    _rule(r"internlm", "internlm"),
    _rule(r"solar", "solar"),
    _rule(r"falcon-?3", "falcon3"),
    _rule(r"falcon-?(?:180|mamba|h1|e)", "falcon-180b"),
    _rule(r"falcon", "falcon"),
    _rule(r"granite", "granite"),
    _rule(r"minicpm", "minicpm"),
    _rule(r"chatglm-?3", "chatglm3"),
    _rule(r"chatglm|glm-?4", "chatglm4"),
    _rule(r"orion", "orion"),
    _rule(r"kimi", "kimi-k2"),
    _rule(r"nemotron", "nemotron"),
    _rule(r"seed-oss", "seed-oss"),
    _rule(r"lfm-?2", "lfm2"),
)
