"""The models there are, and the way to speak to them: fulfils the port `Models`.

Made from what the user configured and the environment; a directory has one, since configuration is for a directory.
Importing this module loads no provider's library: that happens at the first call, or with `warm`.
"""

import difflib
import re
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from pathlib import Path

from mimocode.errors import Invalid
from mimocode.redaction import Redaction
from mimocode.turn.ports import ModelCall, ModelEvent
from mimocode.wire.provider import Model, Provider

from . import catalog, prices
from .catalog import REHEARSAL, Source
from .rehearsal import Rehearsal
from .settings import ProviderSettings
from .stream import Streams

_NEAR = 4
_DATED = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


class Registry:
    """`model` and `small_model` are ``provider/model`` or None; `directory` is where paths of scripts start.

    `enabled` and `disabled` are the ids of the only providers to use and of those not to use. `stall_timeout_s` is the
    longest silence of a provider whose settings name none. `redaction` learns the keys.
    """

    def __init__(
        self,
        settings: Mapping[str, ProviderSettings],
        *,
        env: Mapping[str, str],
        model: str | None = None,
        small_model: str | None = None,
        enabled: Collection[str] | None = None,
        disabled: Collection[str] = (),
        directory: Path | None = None,
        stall_timeout_s: float | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction()
        self._sources = catalog.sources(settings, env, enabled=enabled, disabled=disabled)
        self._model = model
        self._small_model = small_model
        self._rehearsal = Rehearsal(directory)
        self._streams = Streams(self._sources, stall_timeout_s, self._redaction)
        words = {*self._sources, *(name for source in self._sources.values() for name in source.settings.models)}
        # Local servers are given any word for a key, often their own name, which is in half of what is said of them.
        self._redaction.learn(
            *(source.key for source in self._sources.values() if source.key and source.key not in words)
        )

    # ── what there is ────────────────────────────────────────────────────────────────────────────────────

    def providers(self) -> list[Provider]:
        """Every provider that can be used, with its models; without keys."""
        return [self._shown(source.shown()) for source in self._sources.values()]

    def _shown(self, provider: Provider) -> Provider:
        """Without options that are a key under a name that does not say so."""
        models = {
            name: model.but(options=self._redaction.without(model.options)) if model.options else model
            for name, model in provider.models.items()
        }
        return provider.but(options=self._redaction.without(provider.options), models=models)

    def connected(self) -> list[str]:
        """The ids of these providers."""
        return list(self._sources)

    def defaults(self) -> dict[str, str]:
        """For each provider with models the one to begin with."""
        return {source.id: _preferred(source) for source in self._sources.values() if source.models}

    def resolve(self, provider_id: str, model_id: str) -> Model:
        """The model of that name. Raises `Invalid` that names near misses."""
        source = self._sources.get(provider_id)
        if source is None:
            near = _near(provider_id, self._sources)
            raise Invalid(
                f"There is no provider {provider_id!r} (asked for model {model_id!r}). {near}"
                " Configure it under `provider` or set the variable with its key."
            )
        found = source.models.get(model_id) or self._unlisted(source, model_id)
        if found is None:
            raise Invalid(
                f"Provider {provider_id!r} has no model {model_id!r}. {_near(model_id, source.models)}"
                f" If it is new, add it under `provider.{provider_id}.models`."
            )
        return found

    def _unlisted(self, source: Source, model_id: str) -> Model | None:
        """A model that is in no list but known all the same: by its dated name, or as the path of a script."""
        if source.settings.whitelist is not None or model_id in (source.settings.blacklist or ()):
            return None
        if source.id == REHEARSAL:
            return catalog.model(source, model_id) if self._rehearsal.has(model_id) else None
        dated = source.known is not None and _DATED.search(model_id) is not None
        return catalog.model(source, model_id) if dated and prices.find(source.id, model_id) else None

    @property
    def default(self) -> Model:
        """The configured model, else the best of the first provider that has any."""
        if self._model is not None:
            return self._named(self._model, "model")
        first = next((source for source in self._sources.values() if source.models), None)
        if first is None:
            raise Invalid("No provider has a model. Set `model`, or a provider's key such as ANTHROPIC_API_KEY.")
        return first.models[_preferred(first)]

    @property
    def small(self) -> Model:
        """The model for titles and summaries: the configured one, else a quick one of the default's provider."""
        if self._small_model is not None:
            return self._named(self._small_model, "small_model")
        default = self.default
        source = self._sources[default.providerID]
        quick = source.known.quick if source.known else ()
        return next((source.models[name] for name in _beginning(quick, source.models)), default)

    def _named(self, name: str, key: str) -> Model:
        provider_id, slash, model_id = name.partition("/")
        if not slash:
            raise Invalid(f"`{key}` is {name!r}, but is written as PROVIDER/MODEL.", kind="Config")
        return self.resolve(provider_id, model_id)

    # ── speaking ─────────────────────────────────────────────────────────────────────────────────────────

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
        """One attempt, no retries. Closing the generator ends the request. Errors: see the port."""
        if call.model.providerID == REHEARSAL:
            return self._rehearsal.stream(call)
        return self._streams.stream(call)

    async def warm(self) -> None:
        """Loads the libraries of the default model's provider, which takes a second, in a thread."""
        model = self.default
        if model.providerID != REHEARSAL:
            await self._streams.warm(model)

    async def aclose(self) -> None:
        """Closes the connections that are kept."""
        await self._streams.aclose()


def _preferred(source: Source) -> str:
    best = source.known.best if source.known and not source.settings.models else ()
    return next(_beginning(best, source.models), next(iter(source.models)))


def _beginning(prefixes: tuple[str, ...], names: Collection[str]) -> Iterator[str]:
    """Names that begin so: earlier prefixes first, of each the shortest name."""
    for prefix in prefixes:
        yield from sorted((name for name in names if name.startswith(prefix)), key=lambda name: (len(name), name))


def _near(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=_NEAR, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    some = sorted(names)[:_NEAR]
    more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return f"There are {', '.join(some)}{more}." if some else "It has none."
