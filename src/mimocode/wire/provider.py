"""Providers and their models, as `/config/providers` and `/provider` show them. Never a key."""

from typing import Literal

from mimocode.errors import Invalid

from .base import JsonObject, Wire


class ModelApi(Wire):
    """`id` is the name the provider knows the model by; `npm` is the package name that selects the wire format."""

    id: str
    url: str
    npm: str


class Modalities(Wire):
    text: bool = True
    audio: bool = False
    image: bool = False
    video: bool = False
    pdf: bool = False


class Capabilities(Wire):
    temperature: bool = True
    reasoning: bool = False
    attachment: bool = False
    toolcall: bool = True
    input: Modalities = Modalities()
    output: Modalities = Modalities()
    interleaved: bool | JsonObject = False


class CacheCost(Wire):
    read: float = 0
    write: float = 0


class Cost(Wire):
    """US dollars for a million tokens."""

    input: float = 0
    output: float = 0
    cache: CacheCost = CacheCost()


class Limit(Wire):
    """Tokens. A `context` of 0 means unknown: the turn then never compacts by itself."""

    context: int = 0
    input: int | None = None
    output: int = 0


class Model(Wire):
    id: str
    providerID: str
    api: ModelApi
    name: str
    family: str | None = None
    capabilities: Capabilities = Capabilities()
    cost: Cost = Cost()
    limit: Limit = Limit()
    status: Literal["alpha", "beta", "deprecated", "active"] = "active"
    options: JsonObject = {}
    headers: dict[str, str] = {}
    release_date: str = ""
    variants: dict[str, JsonObject] = {}

    def variant(self, name: str | None) -> JsonObject:
        """The options of a variant; of none, which clients also call "default", no options. Raises `Invalid`."""
        if name is None or name == "default":
            return {}
        if name not in self.variants:
            there = ", ".join(self.variants) or "none"
            raise Invalid(
                f"Model {self.providerID}/{self.id} has no variant {name!r}; its variants are: {there}. "
                'Send one of them, or leave it out.\n  at ["variant"]'
            )
        return self.variants[name]


class Provider(Wire):
    id: str
    name: str
    source: Literal["env", "config", "custom", "api"]
    env: list[str] = []
    options: JsonObject = {}
    models: dict[str, Model] = {}
