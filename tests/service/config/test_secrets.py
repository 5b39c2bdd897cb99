"""What of a configuration clients may see."""

from .conftest import Desk

WRITTEN = """{
  "$schema": "https://example.org/s.json", "model": "p/m", "nonsense": 1, "username": "{env:WHO}",
  "provider": {"p": {
    "npm": "@ai-sdk/openai",
    "options": {
      "apiKey": "s3cret-1", "baseURL": "https://u:s3cret-2@h/v1?key=s3cret-3&v=1", "setCacheKey": true,
      "headers": {"X-Anything": "s3cret-4", "User-Agent": "mine"}, "custom": "{env:TOP}",
      "access_token": "s3cret-5", "credentials": {"client": ["s3cret-6"]}, "maxTokens": 5
    },
    "models": {"my-key": {"name": "M", "headers": {"Authorization": "s3cret-7"}, "limit": {"context": 9, "output": 1}}}
  }},
  "mcp": {"auth": {"type": "local", "command": ["x"], "environment": {"A": "s3cret-8"}}},
  "permission": {"read": {"secret/*": "deny"}},
  "instructions": ["https://u:s3cret@h/rules.md"],
  "agent": {"token": {"prompt": "Be brief."}}
}"""


def test_clients_see_the_configuration_without_a_single_secret(desk: Desk) -> None:
    desk.write("mimocode.json", WRITTEN)

    config = desk.load(env={"WHO": "bo", "TOP": "s3cret-9"})

    expected: dict[str, object] = {
        "$schema": "https://example.org/s.json",
        "model": "p/m",
        "username": "bo",
        "provider": {
            "p": {
                "npm": "@ai-sdk/openai",
                "options": {
                    "baseURL": "https://h/v1?&v=1",
                    "headers": {"User-Agent": "mine"},
                    "setCacheKey": True,
                    "custom": "{env:TOP}",
                    "credentials": {},
                    "maxTokens": 5,
                },
                "models": {"my-key": {"name": "M", "headers": {}, "limit": {"context": 9, "output": 1}}},
            }
        },
        "mcp": {"auth": {"type": "local", "command": ["x"], "environment": {}}},
        "permission": {"read": {"secret/*": "deny"}},
        "instructions": ["https://h/rules.md"],
        "agent": {"token": {"prompt": "Be brief."}},
        "mode": {},
        "command": {},
        "plugin": [],
    }
    assert expected == config.public()


def test_a_configuration_knows_its_credentials_and_does_not_print_them(desk: Desk) -> None:
    desk.write("mimocode.json", WRITTEN)

    config = desk.load(env={"WHO": "bo", "TOP": "s3cret-9"})

    assert {f"s3cret-{number}" for number in range(1, 10)} | {"s3cret", "u:s3cret", "u:s3cret-2"} == config.secrets
    assert "s3cret" not in repr(config)
