"""The environment that commands run with: ours, without what is secret to us."""

from collections.abc import Mapping

SECRETS = frozenset(
    {
        "MIMOCODE_SERVER_PASSWORD",
        "OPENCODE_SERVER_PASSWORD",
        "ANTHROPIC_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "CEREBRAS_API_KEY",
        "COHERE_API_KEY",
        "CO_API_KEY",
        "DEEPSEEK_API_KEY",
        "FIREWORKS_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GOOGLE_GENERATIVE_AI_API_KEY",
        "GROQ_API_KEY",
        "MIMO_API_KEY",
        "MISTRAL_API_KEY",
        "MOONSHOT_API_KEY",
        "MOONSHOTAI_API_KEY",
        "NEBIUS_API_KEY",
        "OPENAI_API_KEY",
        "OPENCODE_API_KEY",
        "OPENROUTER_API_KEY",
        "PERPLEXITY_API_KEY",
        "TOGETHER_API_KEY",
        "XAI_API_KEY",
        "XIAOMI_API_KEY",
        "ZAI_API_KEY",
        "ZHIPU_API_KEY",
    }
)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in SECRETS}
