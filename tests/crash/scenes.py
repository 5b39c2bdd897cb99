"""Sessions for a death at each transaction: between them everything that is journalled in a way of its own."""

from collections.abc import Callable

from .plan import CallPlan, SessionPlan, StepPlan, TurnPlan


def turn(token: str) -> SessionPlan:
    """Every tool, an ask of each kind, and a summary in the middle."""
    steps = (
        StepPlan("I begin.", 0, (CallPlan("append", f"{token}a"), CallPlan("write", f"{token}w"))),
        StepPlan("I ask.", 0, (CallPlan("question", f"{token}q"), CallPlan("edit", f"{token}e")), fills=True),
        StepPlan("May I?", 0, (CallPlan("permit", f"{token}p"),)),
        StepPlan("Done.", 0, ()),
    )
    return SessionPlan(token, (TurnPlan(token, steps, id=f"msg_crash{token}"),))


def commands(token: str) -> SessionPlan:
    """A human's command, a prompt behind it, and a summary that somebody asks for; all go by keys."""
    done = StepPlan("Done.", 0, ())
    shell = StepPlan("", 0, (CallPlan("append", f"{token}s"),))
    return SessionPlan(
        token,
        (
            TurnPlan(f"{token}x0", (shell,), kind="shell", how="key"),
            TurnPlan(f"{token}x1", (done,), how="async", queued=True),
            TurnPlan(f"{token}x2", (), kind="summarize", how="key", queued=True),
        ),
    )


def ended(token: str) -> SessionPlan:
    """A turn that asks and is aborted, another behind it, and a session that is deleted at last."""
    asks = StepPlan("I ask.", 0, (CallPlan("slow", f"{token}s"), CallPlan("question", f"{token}q")))
    done = StepPlan("Done.", 0, ())
    return SessionPlan(
        token,
        (
            TurnPlan(f"{token}x0", (asks, done), id=f"msg_crash{token}x0", abort=True),
            TurnPlan(f"{token}x1", (asks, done), id=f"msg_crash{token}x1", how="respond", queued=True),
        ),
        deleted_after=12,
    )


SCENES: dict[str, Callable[[str], SessionPlan]] = {"turn": turn, "commands": commands, "ended": ended}
