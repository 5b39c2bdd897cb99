"""The configuration that makes a scripted model server on a real socket the only model."""

from typing import Any

from .model_server import ModelServer


def local_model(server: ModelServer, **options: Any) -> dict[str, Any]:
    """`options` are the provider's own."""
    local: dict[str, Any] = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": server.base_url, "apiKey": "none", **options},
        "models": {"m": {}},
    }
    return {"provider": {"local": local}, "model": "local/m"}
