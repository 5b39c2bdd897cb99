"""What a client asks at boot: configuration, models, agents, places."""

import json

import pytest
from tests.contract.behaviours import proves
from tests.contract.talk import Talk


@proves("config.get")
async def test_the_configuration_is_shown(talk: Talk) -> None:
    config = await talk.call("GET", "/config")

    assert config["model"] == "lab/scripted"
    assert config["provider"]["lab"]["npm"] == "@ai-sdk/openai-compatible"
    assert ("apiKey" in config["provider"]["lab"]["options"]) is talk.with_peer


@proves("config.providers")
async def test_configured_providers_are_shown_with_their_models(talk: Talk) -> None:
    answer = await talk.call("GET", "/config/providers")

    (lab,) = [provider for provider in answer["providers"] if provider["id"] == "lab"]
    model = lab["models"]["scripted"]
    assert (lab["name"], model["name"], model["limit"]["context"]) == ("Lab", "Scripted", 128_000)
    assert answer["default"]["lab"] == "scripted"
    if not talk.with_peer:
        assert '"k"' not in json.dumps(answer["providers"])


@proves("provider.list")
async def test_connected_providers_are_among_all(talk: Talk) -> None:
    answer = await talk.call("GET", "/provider")

    assert "lab" in answer["connected"]
    assert set(answer["connected"]) <= {provider["id"] for provider in answer["all"]}
    assert answer["default"]["lab"] == "scripted"


@proves("agent.list")
async def test_build_and_plan_are_there_and_the_inner_ones_hidden(talk: Talk) -> None:
    agents = {agent["name"]: agent for agent in await talk.call("GET", "/agent")}

    assert {agents["build"]["mode"], agents["plan"]["mode"]} == {"primary"}
    assert [name for name in ("title", "summary", "compaction") if not agents[name].get("hidden")] == []


@proves("command.list")
async def test_init_is_a_command(talk: Talk) -> None:
    commands = {command["name"]: command for command in await talk.call("GET", "/command")}

    assert commands["init"]["template"]


@proves("tools.list")
async def test_tools_are_listed_as_models_are_told_of_them(talk: Talk) -> None:
    names = await talk.call("GET", "/experimental/tool/ids")
    tools = await talk.call("GET", "/experimental/tool", query={"provider": "lab", "model": "scripted"})

    shared = {"question", "bash", "read", "glob", "grep", "edit", "write", "webfetch", "todowrite"}
    assert shared <= {tool["id"] for tool in tools} <= set(names)
    assert all(tool["description"] and tool["parameters"]["type"] == "object" for tool in tools)
    assert ("invalid" in names) is talk.with_peer
    refused = await talk.call("GET", "/experimental/tool", status=400)
    assert (refused["data"]["kind"], '["provider"]' in refused["data"]["message"]) == ("Query", True)


@proves("path.get")
async def test_places_are_named(talk: Talk) -> None:
    places = await talk.call("GET", "/path")

    assert (places["directory"], places["worktree"]) == (str(talk.directory), str(talk.directory))
    assert {"home", "state", "config"} <= set(places)


@proves("project.current")
async def test_a_repository_is_a_project_named_by_its_first_commit(talk: Talk) -> None:
    project = await talk.call("GET", "/project/current")
    session = await talk.call("POST", "/session")

    assert (project["worktree"], project["vcs"], len(project["id"])) == (str(talk.directory), "git", 40)
    assert project["id"] == session["projectID"]
    assert project["id"] in {known["id"] for known in await talk.call("GET", "/project")}


@proves("health")
async def test_a_server_says_that_it_is_well(talk: Talk) -> None:
    answer = await talk.call("GET", "/global/health")

    assert answer["healthy"] is True
    assert answer["version"]


@pytest.mark.parametrize(
    "path",
    [
        "/experimental/capabilities",
        "/experimental/console",
        "/experimental/resource",
        "/experimental/workspace",
        "/formatter",
        "/lsp",
        "/mcp",
        "/provider/auth",
        "/session/status",
        "/vcs",
        "/api/location",
        "/api/agent",
        "/api/model",
        "/api/provider",
        "/api/integration",
        "/api/reference",
        "/api/command",
        "/api/skill",
    ],
)
@proves("boot.rest")
async def test_the_rest_of_the_boot_is_answered_as_documented(talk: Talk, path: str) -> None:
    await talk.call("GET", path)
