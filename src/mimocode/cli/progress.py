"""What a turn is doing, for the live line."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from mimocode.client import Lost
from mimocode.wire.message import AssistantMessage
from mimocode.wire.part import CacheTokens, Tokens
from mimocode.wire.session import Busy, Idle, Retry, SessionStatus


@dataclass(slots=True)
class Progress:
    """Times with ``_at`` are those of `time.monotonic`, in seconds."""

    started_at: float = field(default_factory=time.monotonic)
    sign_at: float = field(default_factory=time.monotonic)
    """The last sign of life."""
    event_at: float = field(default_factory=time.monotonic)
    """The last event."""
    again_at: float | None = None
    """When a lost connection is tried again."""
    lost_because: str = ""
    retry: Retry | None = None
    retry_at: float = 0
    """When the model is asked again, as far as our clock and the server's agree."""
    silence: str = ""
    """What the server says of a model that has fallen silent."""
    tool: str = ""
    waiting_since: datetime | None = None
    steps: dict[str, AssistantMessage] = field(default_factory=dict[str, AssistantMessage])

    def beat(self) -> None:
        self.sign_at = time.monotonic()
        self.again_at = None

    def heard(self) -> None:
        """An event: a sign of life, but not of the connection that carries the answer."""
        self.event_at = time.monotonic()

    def lost(self, lost: Lost) -> None:
        self.again_at = time.monotonic() + lost.again_in_s
        self.lost_because = lost.reason

    def status(self, status: SessionStatus) -> None:
        self.retry, self.silence = None, ""
        match status:
            case Retry():
                self.retry = status
                # Told now what the wall's clock says: whoever sets that clock meanwhile changes nothing.
                self.retry_at = time.monotonic() + status.next / 1000 - time.time()
            case Busy():
                self.silence = status.message or ""
            case Idle():
                pass

    def wait(self, waiting: bool) -> None:
        self.waiting_since = datetime.now().astimezone() if waiting else None

    def waits_since(self, since_ms: int) -> None:
        """The person is waited for since then, perhaps long before this run began."""
        if self.waiting_since is not None:
            self.waiting_since = min(self.waiting_since, datetime.fromtimestamp(since_ms / 1000).astimezone())

    @property
    def tokens(self) -> Tokens:
        """The sum over the steps."""
        every = [step.tokens for step in self.steps.values()]
        whole = Tokens(
            input=sum(one.input for one in every),
            output=sum(one.output for one in every),
            reasoning=sum(one.reasoning for one in every),
            cache=CacheTokens(read=sum(one.cache.read for one in every), write=sum(one.cache.write for one in every)),
        )
        total = whole.input + whole.output + whole.reasoning + whole.cache.read + whole.cache.write
        return whole.but(total=total)

    @property
    def cost(self) -> float:
        return sum(step.cost for step in self.steps.values())

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_at

    def line(self) -> str:
        """The live line: what is being done or waited for, how long it took, what it used."""
        words = [self._doing(), _clock(self.elapsed_s)]
        if self.tokens.total:
            words.append(f"{_short(self.tokens.total)} tokens")
        if self.cost:
            words.append(f"${self.cost:.4f}")
        return " · ".join(words)

    def _doing(self) -> str:
        if self.again_at is not None:
            wait_s = max(0.0, self.again_at - time.monotonic())
            return f"connection lost ({self.lost_because}), joining again in {wait_s:.0f} s"
        if self.waiting_since is not None:
            return f"waiting for you since {_moment(self.waiting_since)}"
        if self.retry is not None:
            wait_s = max(0.0, self.retry_at - time.monotonic())
            return f"retrying the model in {wait_s:.0f} s ({self.retry.message})"
        return self.silence or self.tool or "working"


def _moment(when: datetime) -> str:
    """The time of day, with its day if that is not today."""
    today = datetime.now().astimezone().date()
    return f"{when:%H:%M}" if when.date() == today else f"{when:%Y-%m-%d %H:%M}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.1f}k"
