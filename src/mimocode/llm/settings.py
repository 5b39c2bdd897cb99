"""How a user configures providers: ``provider.<id>`` of `mimocode.json` and `opencode.json`."""

from pydantic import ConfigDict, Field

from mimocode.wire.base import JsonObject, Wire


class Settings(Wire):
    """Keys that are not known are kept, so that whoever reads the file can warn of them."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True)


class CostSettings(Settings):
    """US dollars for a million tokens."""

    input: float = 0
    output: float = 0
    cache_read: float = 0
    cache_write: float = 0


class LimitSettings(Settings):
    """Tokens."""

    context: int = 0
    input: int | None = None
    output: int = 0


class ModelSettings(Settings):
    id: str | None = None
    """The provider's own name for the model, where it differs from the key."""
    name: str | None = None
    family: str | None = None
    attachment: bool | None = None
    reasoning: bool | None = None
    temperature: bool | None = None
    tool_call: bool | None = None
    release_date: str | None = None
    cost: CostSettings | None = None
    limit: LimitSettings | None = None
    modalities: dict[str, list[str]] | None = None
    options: JsonObject = {}
    headers: dict[str, str] = {}
    variants: dict[str, JsonObject] = {}


class ProviderOptions(Settings):
    """`timeout`, `headerTimeout` and `chunkTimeout` are milliseconds; ``false`` means none."""

    apiKey: str | None = Field(default=None, repr=False)
    baseURL: str | None = None
    headers: dict[str, str] = {}
    timeout: int | bool | None = None
    headerTimeout: int | bool | None = None
    chunkTimeout: int | bool | None = None


class ProviderSettings(Settings):
    """`npm` selects the wire format, by the names these systems' users already write (``@ai-sdk/anthropic`` …)."""

    npm: str | None = None
    name: str | None = None
    api: str | None = None
    env: list[str] = []
    whitelist: list[str] | None = None
    blacklist: list[str] | None = None
    options: ProviderOptions = ProviderOptions()
    models: dict[str, ModelSettings] = {}
