"""Certificates: the system's authorities count, and a company's own."""

import ssl
from pathlib import Path

import pytest
import trustme

from mimocode.errors import ProviderError
from support.model_calls import call, events, registry_for, text, user
from support.model_server import ModelServer


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(tmp_path: Path, authority: trustme.CA) -> ssl.SSLContext:
    file = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_companys_own_authority_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, tls: ssl.SSLContext
) -> None:
    file = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    async with ModelServer("text: Hi", tls=tls) as server:
        registry = registry_for(server)
        told = await events(registry, call(registry.resolve("chat", "m"), [user(1, "hi")]))
        await registry.aclose()

    assert text(told) == "Hi"


@pytest.mark.parametrize("wire", ["chat", "messages", "google"])
async def test_an_unknown_authority_is_told_and_not_tried_again(wire: str, tls: ssl.SSLContext) -> None:
    async with ModelServer("text: Hi", tls=tls) as server:
        registry = registry_for(server)
        with pytest.raises(ProviderError) as caught:
            await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))
        await registry.aclose()

    assert not caught.value.retryable
    assert "SSL_CERT_FILE" in str(caught.value)
