"""What models cost and how much they read, from the data inside genai-prices (no network)."""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from mimocode.turn.ports import Usage
from mimocode.wire.provider import CacheCost, Cost, Model

from .known import KNOWN, is_for_code

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

MILLION = 1_000_000


@lru_cache(maxsize=64)
def _provider(provider_id: str) -> "Provider | None":
    from genai_prices.data_snapshot import get_snapshot

    known = KNOWN.get(provider_id)
    found = [row for row in get_snapshot().providers if known is not None and row.id == known.prices]
    return found[0] if found else None


def models(provider_id: str) -> Iterator["ModelInfo"]:
    """What a known provider sells that can work on code, by name."""
    provider = _provider(provider_id)
    for info in provider.models if provider else ():
        if is_for_code(info.id) and not info.deprecated and re.search(KNOWN[provider_id].only, info.id):
            yield info


def find(provider_id: str, model_id: str) -> "ModelInfo | None":
    """The model that a name means at a known provider; dated names and aliases too."""
    from genai_prices.data_snapshot import get_snapshot

    provider = _provider(provider_id)
    return provider.find_model(model_id.lower(), all_providers=get_snapshot().providers) if provider else None


def listed(info: "ModelInfo") -> Cost:
    """The price in its lowest tier. What is charged in the end is `charged`."""
    price = info.prices[0].prices if isinstance(info.prices, list) else info.prices
    return Cost(
        input=_base(price.input_mtok),
        output=_base(price.output_mtok),
        cache=CacheCost(read=_base(price.cache_read_mtok), write=_base(price.cache_write_mtok)),
    )


def _base(price: object) -> float:
    amount: object = getattr(price, "base", price)
    return float(amount) if isinstance(amount, Decimal) else 0.0


def charged(model: Model, usage: Usage, *, configured: bool) -> float:
    """US dollars for one call. A `configured` price is the user's; otherwise tiers and time of day count as sold."""
    if not configured and (info := find(model.providerID, model.api.id)) is not None:
        return _sold(model.providerID, info, usage)
    cost = model.cost
    spent = (
        usage.input * cost.input
        + (usage.output + usage.reasoning) * cost.output
        + usage.cache_read * cost.cache.read
        + usage.cache_write * cost.cache.write
    )
    return spent / MILLION


def _sold(provider_id: str, info: "ModelInfo", usage: Usage) -> float:
    from datetime import UTC, datetime

    from genai_prices import Usage as Sold

    provider = _provider(provider_id)
    if provider is None:
        return 0.0
    sold = Sold(
        input_tokens=usage.input + usage.cache_read + usage.cache_write,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output + usage.reasoning,
    )
    return float(info.calc_price(sold, provider, genai_request_timestamp=datetime.now(tz=UTC)).total_price)
