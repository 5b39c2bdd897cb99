"""The providers that need no configuration but a key, and what can be told of a model by its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

COMPATIBLE = "@ai-sdk/openai-compatible"
OPENAI = "@ai-sdk/openai"
ANTHROPIC = "@ai-sdk/anthropic"
GOOGLE = "@ai-sdk/google"
REHEARSAL = "mimocode/rehearsal"

BUNDLED = {
    "@ai-sdk/amazon-bedrock": "bedrock",
    "@ai-sdk/azure": "azure",
    "@ai-sdk/cohere": "cohere",
    "@ai-sdk/google-vertex": "google-cloud",
    "@ai-sdk/huggingface": "huggingface",
}
"""Package names whose wire pydantic-ai speaks under its own name, with its own variables; some need an extra of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A hosted provider. `env` are the variables its key may be in, the first one set wins; `prices` is its name in
    the price data; `only` picks its own models there, and `prefix` is what its API wants before their names. `profile`
    is the class of pydantic-ai that knows its models' quirks. `best` and `quick` are the beginnings of model names to
    prefer, for work and for titles.
    """

    id: str
    name: str
    npm: str
    url: str
    env: tuple[str, ...]
    prices: str
    only: str = ""
    prefix: str = ""
    profile: str | None = None
    best: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()


_ROWS = (
    Known(
        "anthropic",
        "Anthropic",
        ANTHROPIC,
        "https://api.anthropic.com/v1",
        ("ANTHROPIC_API_KEY",),
        "anthropic",
        best=("claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4"),
        quick=("claude-haiku-5-5", "claude-haiku-4-5", "claude-3-5-haiku"),
    ),
    Known(
        "openai",
        "OpenAI",
        OPENAI,
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        "openai",
        best=("gpt-6.1-sol", "gpt-6-sol", "gpt-5.5", "gpt-5.1", "gpt-5"),
        quick=("gpt-5.4-nano", "gpt-5-nano", "gpt-4.1-nano"),
    ),
    Known(
        "google",
        "Google",
        GOOGLE,
        "https://generativelanguage.googleapis.com/v1beta",
        ("GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "google",
        only="^gem(ini|ma)",
        best=("gemini-3.1-pro", "gemini-2.5-pro", "gemini-3"),
        quick=("gemini-3.5-flash-lite", "gemini-2.5-flash-lite"),
    ),
    Known(
        "openrouter",
        "OpenRouter",
        COMPATIBLE,
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        "openrouter",
        profile="pydantic_ai.providers.openrouter:OpenRouterProvider",
        best=("anthropic/claude-sonnet-5.5", "anthropic/claude-sonnet-5", "anthropic/claude-sonnet"),
        quick=("anthropic/claude-haiku-5.5", "anthropic/claude-haiku"),
    ),
    Known(
        "groq",
        "Groq",
        COMPATIBLE,
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        "groq",
        best=("openai/gpt-oss-120b", "moonshotai/kimi", "llama-3.3-70b"),
        quick=("openai/gpt-oss-20b", "llama-3.1-8b"),
    ),
    Known(
        "mistral",
        "Mistral",
        COMPATIBLE,
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        "mistral",
        best=("mistral-medium-latest", "mistral-large", "codestral"),
        quick=("mistral-small", "ministral"),
    ),
    Known(
        "deepseek",
        "DeepSeek",
        COMPATIBLE,
        "https://api.deepseek.com",
        ("DEEPSEEK_API_KEY",),
        "deepseek",
        profile="pydantic_ai.providers.deepseek:DeepSeekProvider",
        best=("deepseek-v4-pro", "deepseek-chat"),
        quick=("deepseek-v4-flash", "deepseek-chat"),
    ),
    Known(
        "xai",
        "xAI",
        COMPATIBLE,
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        "x-ai",
        best=("grok-4.7", "grok-4", "grok-code"),
        quick=("grok-code-fast", "grok-3-mini"),
    ),
    Known(
        "togetherai",
        "Together AI",
        COMPATIBLE,
        "https://api.together.xyz/v1",
        ("TOGETHER_API_KEY",),
        "together",
        profile="pydantic_ai.providers.together:TogetherProvider",
        best=("moonshotai/Kimi", "deepseek-ai/DeepSeek-V4-Pro", "openai/gpt-oss-120b"),
        quick=("openai/gpt-oss-120b",),
    ),
    Known(
        "fireworks-ai",
        "Fireworks AI",
        COMPATIBLE,
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY",),
        "fireworks",
        prefix="accounts/fireworks/models/",
        profile="pydantic_ai.providers.fireworks:FireworksProvider",
        best=("kimi-k3", "glm-5p3", "gpt-oss-120b"),
        quick=("gpt-oss-20b",),
    ),
    Known(
        "cerebras",
        "Cerebras",
        COMPATIBLE,
        "https://api.cerebras.ai/v1",
        ("CEREBRAS_API_KEY",),
        "cerebras",
        profile="pydantic_ai.providers.cerebras:CerebrasProvider",
        best=("gpt-oss-120b",),
    ),
    Known(
        "moonshotai",
        "Moonshot AI",
        COMPATIBLE,
        "https://api.moonshot.ai/v1",
        ("MOONSHOT_API_KEY",),
        "moonshotai",
        profile="pydantic_ai.providers.moonshotai:MoonshotAIProvider",
        best=("kimi-k3", "kimi-k2"),
    ),
    Known(
        "zai",
        "Z.AI",
        COMPATIBLE,
        "https://api.z.ai/api/paas/v4",
        ("ZHIPU_API_KEY", "ZAI_API_KEY"),
        "zai",
        best=("GLM-5.3", "GLM-5", "GLM-4"),
        quick=("GLM-5.3-Flash", "GLM-4.5-Air"),
    ),
)

KNOWN: Mapping[str, Known] = {row.id: row for row in _ROWS}
"""In the order in which a default is looked for."""

_NOT_FOR_CODE = re.compile(
    r"embed|whisper|tts|transcribe|image|imagen|audio|realtime|moderation|dall|davinci|curie|babbage|^ada\b|search"
    r"|computer-use|deep-research|instruct$|^ft:|ft-$|guard|rerank|ocr|veo|vision-preview|live|translate|^claude-(v1|2)$"
    r"|^voyage|decision|flux|^canary|saba|voxtral|orpheus|voice|robotics|omni|banana|chronos|mythomax|redpajama|stripedhyena|gpt-3\.5|^gpt-4(-32k|-turbo)?$|preview-tts|gemini-1"
)
_REASONS = re.compile(
    r"gpt-(5(?!-chat)|6|oss)|\bo[134](-|$)|claude-(3-7|opus|sonnet|haiku-[4-9]|fable|mythos)|gemini-(2\.5|[3-9])|deepseek-r"
    r"|reasoner|grok-(3-mini|4|code)|magistral|qwen-?3|glm-(4\.[5-9]|5)|kimi-k(2-thinking|[3-9])|minimax-m|thinking|sonar-reasoning"
)
_SEES = re.compile(
    r"gpt-(4o|4\.1|4\.5|[56])|\bo[134](-|$)|claude-(3|opus|sonnet|haiku|fable|mythos)|gemini|grok-4|pixtral|llama-4"
    r"|mistral-(medium|small)|-vl\b|vision|glm-4\.[5-9]v|kimi-k2\.5"
)
_READS_PDF = re.compile(r"claude-(3-[57]|opus|sonnet|haiku|fable|mythos)|gemini|gpt-(4o|4\.1|[56])|\bo[34]")


def is_for_code(model_id: str) -> bool:
    """False for models that do something else (embeddings, images, speech) or cannot call tools."""
    return _NOT_FOR_CODE.search(model_id.lower()) is None


def reasons(model_id: str) -> bool:
    return _REASONS.search(model_id.lower()) is not None


def sees(model_id: str) -> bool:
    """Whether it takes images."""
    return _SEES.search(model_id.lower()) is not None


def reads_pdf(model_id: str) -> bool:
    return _READS_PDF.search(model_id.lower()) is not None
