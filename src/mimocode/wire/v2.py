"""The reference's second generation of shapes, under `/api`: the same things in other words."""

from typing import Generic, Literal, TypeVar

from .ask import Action, QuestionInfo, ToolCallRef
from .base import JsonObject, Wire
from .part import Tokens
from .provider import Cost, Limit
from .session import SessionModel

T = TypeVar("T")


class LocationProject(Wire):
    """`directory` is the repository's root; ``/`` where there is none."""

    id: str
    directory: str


class Location(Wire):
    directory: str
    project: LocationProject


class Located(Wire, Generic[T]):
    """An answer, and where it holds."""

    location: Location
    data: T


class Data(Wire, Generic[T]):
    data: T


class Healthy(Wire):
    healthy: Literal[True] = True


class Request(Wire):
    """What is sent with each call of a model; never a key."""

    headers: dict[str, str] = {}
    body: JsonObject = {}


class PermissionSaved(Wire):
    """What a human allowed for good: this to all agents of a kind in a project."""

    id: str
    projectID: str
    action: str
    resource: str


class PermissionRule(Wire):
    action: str
    resource: str
    effect: Action


class Agent2(Wire):
    id: str
    model: SessionModel | None = None
    request: Request = Request()
    system: str | None = None
    description: str | None = None
    mode: Literal["subagent", "primary", "all"]
    hidden: bool
    color: str | None = None
    steps: int | None = None
    permissions: list[PermissionRule]


class Api(Wire):
    """`package` selects the wire format; `id` is absent for a provider."""

    id: str | None = None
    type: Literal["aisdk"] = "aisdk"
    package: str
    url: str | None = None


class Capabilities2(Wire):
    tools: bool
    input: list[str]
    output: list[str]


class Variant(Wire):
    id: str
    headers: dict[str, str] = {}
    body: JsonObject = {}


class Released(Wire):
    """In ms since the epoch; 0 if unknown."""

    released: int = 0


class Model2(Wire):
    id: str
    providerID: str
    family: str | None = None
    name: str
    api: Api
    capabilities: Capabilities2
    request: Request = Request()
    variants: list[Variant] = []
    time: Released = Released()
    cost: list[Cost] = []
    status: Literal["alpha", "beta", "deprecated", "active"]
    enabled: bool = True
    limit: Limit


class Provider2(Wire):
    id: str
    name: str
    api: Api
    request: Request = Request()


class Command2(Wire):
    name: str
    template: str
    description: str | None = None
    agent: str | None = None
    model: SessionModel | None = None
    subtask: bool | None = None


class SessionPlace(Wire):
    directory: str


class SessionTime2(Wire):
    created: int
    updated: int
    archived: int | None = None


class Session2(Wire):
    id: str
    parentID: str | None = None
    projectID: str
    agent: str | None = None
    model: SessionModel | None = None
    cost: float
    tokens: Tokens
    time: SessionTime2
    title: str
    location: SessionPlace
    subpath: str | None = None


class Cursor(Wire):
    """What leads to the next page; absent on the last one."""

    next: str | None = None


class Sessions2(Wire):
    data: list[Session2]
    cursor: Cursor


class CallSource(Wire):
    type: Literal["tool"] = "tool"
    messageID: str
    callID: str


class Permission2(Wire):
    id: str
    sessionID: str
    action: str
    resources: list[str]
    save: list[str] | None = None
    metadata: JsonObject | None = None
    source: CallSource | None = None


class Question2(Wire):
    id: str
    sessionID: str
    questions: list[QuestionInfo]
    tool: ToolCallRef | None = None


class Session2Input(Wire):
    """Body of ``POST /api/session``. Ids are made here."""

    id: str | None = None
    agent: str | None = None
    model: SessionModel | None = None
    location: SessionPlace | None = None


class AgentChoice(Wire):
    agent: str


class ModelChoice(Wire):
    model: SessionModel
