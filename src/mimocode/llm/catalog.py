"""Which providers and models there are, from the configuration, the environment and the price data. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from mimocode.wire.base import JsonObject
from mimocode.wire.provider import CacheCost, Capabilities, Cost, Limit, Modalities, Model, ModelApi, Provider

from . import known, prices
from .known import KNOWN, Known
from .settings import CostSettings, LimitSettings, ModelSettings, ProviderSettings

REHEARSAL = "rehearsal"
SCRIPT_VARIABLE = "MIMOCODE_REHEARSAL_SCRIPT"
_EFFORTS = ("low", "medium", "high")
_SECRET = re.compile(r"key|token|secret|password|authorization|credential|cookie", re.IGNORECASE)
_REHEARSAL_CONTEXT = 200_000


@dataclass(frozen=True, slots=True)
class Source:
    """A provider as it was found: what the user set, what is known of it, and its key. Never shown to clients."""

    id: str
    settings: ProviderSettings
    known: Known | None
    origin: Literal["env", "config", "custom"]
    key: str | None
    models: Mapping[str, Model]

    @property
    def npm(self) -> str:
        return self.settings.npm or (self.known.npm if self.known else known.COMPATIBLE)

    @property
    def url(self) -> str:
        """Where it is; empty if nobody said."""
        return self.settings.options.baseURL or self.settings.api or (self.known.url if self.known else "")

    @property
    def env(self) -> tuple[str, ...]:
        return tuple(self.settings.env) or (self.known.env if self.known else ())

    @property
    def wants_key(self) -> bool:
        """True for a hosted provider at its own address: without a key it can only refuse."""
        return self.known is not None and self.url.rstrip("/") == self.known.url

    def priced_by_user(self, model_id: str) -> bool:
        settings = self.settings.models.get(model_id)
        return settings is not None and settings.cost is not None

    def shown(self) -> Provider:
        name = self.settings.name or (self.known.name if self.known else self.id)
        options = _without_secrets(self.settings.options.plain())
        if self.settings.options.baseURL is not None:
            options["baseURL"] = without_credentials(self.settings.options.baseURL)
        return Provider(
            id=self.id, name=name, source=self.origin, env=list(self.env), options=options, models=dict(self.models)
        )


def _without_secrets(options: JsonObject) -> JsonObject:
    """Headers go altogether: their names are the user's, so that any may hold a key."""
    return {key: value for key, value in options.items() if not _SECRET.search(key) and key != "headers"}


def without_credentials(url: str) -> str:
    """The address alone: user, password and query may be secrets."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def sources(
    settings: Mapping[str, ProviderSettings],
    env: Mapping[str, str],
    *,
    disabled: Collection[str] = (),
    enabled: Collection[str] | None = None,
) -> dict[str, Source]:
    """Every provider that can be used: configured ones first, then those with a key, the rehearsal last."""
    found: dict[str, Source] = {}
    for provider_id in _ids(settings, env):
        if provider_id in disabled or (enabled is not None and provider_id not in enabled):
            continue
        found[provider_id] = _source(provider_id, settings.get(provider_id), env)
    return found


def _ids(settings: Mapping[str, ProviderSettings], env: Mapping[str, str]) -> Iterator[str]:
    yield from (provider_id for provider_id in settings if provider_id != REHEARSAL)
    for row in KNOWN.values():
        if row.id not in settings and _key(row.env, env):
            yield row.id
    yield REHEARSAL


def _key(names: Iterable[str], env: Mapping[str, str]) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _source(provider_id: str, settings: ProviderSettings | None, env: Mapping[str, str]) -> Source:
    row = KNOWN.get(provider_id)
    origin = "config" if settings is not None else "custom" if row is None else "env"
    if provider_id == REHEARSAL:
        settings = _rehearsal(settings or ProviderSettings(), env)
    settings = settings or ProviderSettings()
    names = tuple(settings.env) or (row.env if row else ())
    bare = Source(provider_id, settings, row, origin, settings.options.apiKey or _key(names, env), {})
    return Source(provider_id, settings, row, origin, bare.key, _models(bare))


def _rehearsal(settings: ProviderSettings, env: Mapping[str, str]) -> ProviderSettings:
    """The built-in provider: the model `demo`, and `script` if a script was named."""
    extra: JsonObject = settings.options.model_extra or {}
    script = extra.get("script") or env.get(SCRIPT_VARIABLE)
    limit = LimitSettings(context=_REHEARSAL_CONTEXT, output=_REHEARSAL_CONTEXT)
    built_in = {"demo": ModelSettings(name="Rehearsal (built in, no model is asked)", limit=limit)}
    if script:
        scripted = ModelSettings(id=str(script), name=f"Rehearsal of {script}", limit=limit)
        built_in = {"script": scripted, **built_in}
    merged = {
        name: ModelSettings.model_validate({**built_in[name].plain(), **settings.models[name].plain()})
        for name in built_in.keys() & settings.models.keys()
    }
    models = {**built_in, **settings.models, **merged}
    name = settings.name or "Rehearsal (scripted, offline)"
    return settings.but(npm=known.REHEARSAL, name=name, models=models)


def _models(source: Source) -> dict[str, Model]:
    settings = source.settings
    found = dict(_sold(source.id, source.npm, source.url)) if source.known is not None else {}
    for model_id in settings.models:
        found[model_id] = model(source, model_id)
    if settings.whitelist is not None:
        found = {name: value for name, value in found.items() if name in settings.whitelist}
    return {name: value for name, value in found.items() if name not in (settings.blacklist or ())}


@lru_cache(maxsize=64)
def _sold(provider_id: str, npm: str, url: str) -> Mapping[str, Model]:
    """Kept, since every directory asks for the same."""
    settings = ProviderSettings(npm=npm, api=url)
    source = Source(provider_id, settings, KNOWN[provider_id], "env", None, {})
    return {info.id: model(source, info.id) for info in prices.models(provider_id)}


def model(source: Source, model_id: str) -> Model:
    """The model of that name: what the user set, over what is known of it, over what its name tells."""
    settings = source.settings.models.get(model_id) or ModelSettings()
    api_id = settings.id or (source.known.prefix if source.known else "") + model_id
    info = prices.find(source.id, api_id) if source.known else None
    capabilities = _capabilities(settings, api_id)
    cost = _cost(settings.cost) if settings.cost is not None else prices.listed(info) if info else Cost()
    context = info.context_window if info and info.context_window else 0
    return Model(
        id=model_id,
        providerID=source.id,
        api=ModelApi(id=api_id, url=without_credentials(source.url), npm=source.npm),
        name=settings.name or (info.name if info and info.name else model_id),
        family=settings.family,
        capabilities=capabilities,
        cost=cost,
        limit=_limit(settings.limit, context),
        options=_without_secrets(settings.options),
        headers={},  # their names are the user's, so that any may hold a key; `asking` takes them from the settings
        release_date=settings.release_date or "",
        variants=_variants(settings, reasoning=capabilities.reasoning and source.npm != known.REHEARSAL),
    )


def _cost(cost: CostSettings) -> Cost:
    return Cost(input=cost.input, output=cost.output, cache=CacheCost(read=cost.cache_read, write=cost.cache_write))


def _limit(limit: LimitSettings | None, context: int) -> Limit:
    if limit is None:
        return Limit(context=context)
    return Limit(context=limit.context or context, input=limit.input, output=limit.output)


def _capabilities(settings: ModelSettings, api_id: str) -> Capabilities:
    asked = settings.modalities or {}
    attachment = settings.attachment
    takes = asked.get("input")
    if takes is None:
        takes = ["text"]
        if attachment is True or (attachment is None and known.sees(api_id)):
            takes.append("image")
        if attachment is not False and known.reads_pdf(api_id):
            takes.append("pdf")
    return Capabilities(
        temperature=settings.temperature is not False,
        reasoning=settings.reasoning if settings.reasoning is not None else known.reasons(api_id),
        attachment=attachment if attachment is not None else bool({"image", "pdf"} & set(takes)),
        toolcall=settings.tool_call is not False,
        input=_modalities(takes),
        output=_modalities(asked.get("output", ["text"])),
    )


def _modalities(names: Collection[str]) -> Modalities:
    return Modalities(**{field: field in names for field in Modalities.model_fields})


def _variants(settings: ModelSettings, *, reasoning: bool) -> dict[str, JsonObject]:
    effort: dict[str, JsonObject] = {name: {"reasoningEffort": name} for name in _EFFORTS} if reasoning else {}
    variants = {**effort, **settings.variants}
    return {name: options for name, options in variants.items() if options.get("disabled") is not True}
