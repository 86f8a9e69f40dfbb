"""What people read about runs, in the admin and on the command line alike: where one stands, times and lengths."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from .models import FlowRun, RunStatus

__all__ = ["duration", "standing", "when"]


def when(time: datetime | None) -> str:
    """For people: in the project's time zone; empty for none."""
    return timezone.localtime(time).strftime("%Y-%m-%d %H:%M:%S") if time else ""


def duration(length: timedelta) -> str:
    """``840 µs``, ``12 ms``, ``3.2 s``, ``5 min``, ``2 h 5 min``, ``3 d 4 h``; its sign is ignored."""
    seconds = abs(length.total_seconds())
    if seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
    if hours:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{minutes} min"


def standing(run: FlowRun, now: datetime, step: str = "") -> str:
    """One sentence about a run. ``step`` is the name of the step it is at, in place of its id."""
    at = f" at step “{step or run.step}”" if run.step else ""
    sentence = _SENTENCES[RunStatus(run.status)](run, now, at)
    if run.is_pause_requested:
        sentence += " A pause was asked for, and begins after the step at hand."
    return sentence


def _pending(run: FlowRun, now: datetime, at: str) -> str:
    if run.admitted_at is None and run.reason:
        return f"Waits for its turn: {run.reason}."
    if run.due_at is not None and run.due_at > now:
        return f"Starts{at} {_point(run.due_at, now)}."
    return (
        f"Is to go on{at} with the next free worker."
        if run.started_at
        else "Is to start with the next free worker."
    )


def _running(run: FlowRun, now: datetime, at: str) -> str:
    if run.due_at is not None and run.due_at <= now:
        return f"Was left by its worker{at}; the next free worker goes on with it."
    return f"Is executed by a worker{at}."


def _waiting(run: FlowRun, now: datetime, at: str) -> str:
    return f"Waits{at}{_wait(run, now)}."


def _paused(run: FlowRun, now: datetime, at: str) -> str:
    wait = f" in a wait{_wait(run, now)}" if run.wait_until or run.wait_event else ""
    return f"Was set aside{at}{wait}, until somebody resumes it."


def _blocked(run: FlowRun, now: datetime, at: str) -> str:
    again = f"; looked at again {_point(run.due_at, now)}" if run.due_at is not None else ""
    return f"Cannot go on{at} until what is missing is there{again}."


def _wait(run: FlowRun, now: datetime) -> str:
    event = f" for “{run.wait_event}”" if run.wait_event else ""
    until = f" {'at most ' if event else ''}until {when(run.wait_until)}" if run.wait_until else ""
    if until and run.wait_until and run.wait_until > now:
        until += f" ({duration(run.wait_until - now)} from now)"
    elif until:
        until += " (which is over: it is due)"
    return event + until


def _point(time: datetime, now: datetime) -> str:
    return f"at {when(time)} (in {duration(time - now)})" if time > now else "as soon as a worker is free"


def _completed(run: FlowRun, now: datetime, at: str) -> str:
    return f"Came to its end {when(run.ended_at)}{_length(run)}."


def _stopped(run: FlowRun, now: datetime, at: str) -> str:
    return f"Was stopped by its flow{at} {when(run.ended_at)}{_length(run)}."


def _failed(run: FlowRun, now: datetime, at: str) -> str:
    return f"Failed{at} {when(run.ended_at)}{_length(run)}."


def _cancelled(run: FlowRun, now: datetime, at: str) -> str:
    return f"Was cancelled{at} {when(run.ended_at)}."


def _discarded(run: FlowRun, now: datetime, at: str) -> str:
    return f"Was discarded{at} {when(run.ended_at)}."


def _length(run: FlowRun) -> str:
    return f", after {duration(run.ended_at - run.started_at)}" if run.ended_at and run.started_at else ""


_SENTENCES = {
    RunStatus.PENDING: _pending,
    RunStatus.RUNNING: _running,
    RunStatus.WAITING: _waiting,
    RunStatus.PAUSED: _paused,
    RunStatus.BLOCKED: _blocked,
    RunStatus.COMPLETED: _completed,
    RunStatus.STOPPED: _stopped,
    RunStatus.FAILED: _failed,
    RunStatus.CANCELLED: _cancelled,
    RunStatus.DISCARDED: _discarded,
}
