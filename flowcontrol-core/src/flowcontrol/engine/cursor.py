"""Where a run stands and where a decision leads: pure, without database or clock.

A position is a stack of frames, one for each step from the top of the tree to the current one, and the question
that is asked next: ``run`` the step, a ``branch`` of it ended, or its ``wait`` is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from ..base import Decision, EnterBranch, Fail, LeaveBranch, Next, ReturnToParent, StopFlow, Wait
from ..documents.program import Program
from ..exceptions import FlowcontrolError, InvalidDecision
from ..state import State, encode
from ..state.decoding import decode_value, parse

__all__ = [
    "BRANCH",
    "FAILURE",
    "RUN",
    "WAIT",
    "Ending",
    "Frame",
    "Position",
    "PositionGone",
    "advance",
    "begin",
    "catch",
    "dump",
    "load",
    "place",
]

RUN = "run"
BRANCH = "branch"
WAIT = "wait"
FAILURE = "failure"

COMPLETED = "completed"
STOPPED = "stopped"
FAILED = "failed"

#: Memory and variables of a step that has none; nobody writes it.
_NOTHING: Mapping[str, Any] = {}

#: Why a run ends that returns or leaves where there is no parent.
NO_PARENT = "Returned from the top of the flow."


class PositionGone(FlowcontrolError):
    """A stored position names a step that the version does not have."""


class Frame(NamedTuple):
    """A step being visited: ``branch`` it entered last, how often it entered one, and its own memory."""

    node: int
    #: Rounds of the branches around it: "each:2/check:1".
    path: str = ""
    branch: str = ""
    entries: int = 0
    locals: Mapping[str, Any] = {}
    #: What steps inside this frame's parents' branches can read; a branch's own variables are merged in.
    variables: Mapping[str, Any] = {}


class Position(NamedTuple):
    frames: tuple[Frame, ...]
    phase: str = RUN
    #: Which branch ended or failed, in the phases ``branch`` and ``failure``.
    branch: str = ""
    #: Tries of this question, the present one included.
    attempt: int = 1
    #: Id of the event that ended the wait, kept for another try; 0 for none.
    event: int = 0

    @property
    def node(self) -> int:
        return self.frames[-1].node


class Ending(NamedTuple):
    """The run ends as ``completed``, ``stopped`` or ``failed``."""

    status: str
    reason: str = ""


def begin(program: Program) -> Position | Ending:
    """The position of a run that has not started."""
    return Ending(COMPLETED) if program.first is None else Position((Frame(program.first),))


def advance(
    program: Program, position: Position, decision: Decision, memory: Mapping[str, Any] | None = None
) -> Position | Ending:
    """Where ``decision``, the answer to the question of ``position``, leads.

    ``memory`` is the step's own from now on; None: as it was. Raises ``InvalidDecision`` for what is no decision, and
    for a branch that the action does not declare.
    """
    follow = _FOLLOW.get(type(decision))
    if follow is None:
        node = program.nodes[position.node]
        raise InvalidDecision(
            f'The action "{node.action_name}" answered {decision!r}, which is no decision. '
            "Return one of Next, EnterBranch, ReturnToParent, LeaveBranch, StopFlow, Wait, Fail, or None."
        )
    return follow(program, position, decision, memory)


# The four below run once a visit: a tuple made as such takes a third of the time of one made by its class.
_new = tuple.__new__


def _next(program: Program, position: Position, decision: Any, memory: Any) -> Position | Ending:
    frames = position[0]
    frame = frames[-1]
    sibling = program.nodes[frame[0]].next
    if sibling is not None:
        following = _new(Frame, (sibling, frame[1], "", 0, _NOTHING, frame[5]))
        return _new(Position, ((*frames[:-1], following), RUN, "", 1, 0))
    return _ended(frames[:-1])


def _ended(parents: tuple[Frame, ...]) -> Position | Ending:
    """The branch of the last of these steps came to its end."""
    if parents:
        return _new(Position, (parents, BRANCH, parents[-1][2], 1, 0))
    return Ending(COMPLETED)


def _enter(
    program: Program, position: Position, decision: EnterBranch, memory: Mapping[str, Any] | None
) -> Position | Ending:
    *parents, (index, path, _, entries, known, variables) = position[0]
    node, name = program.nodes[index], decision.name
    if name not in node.branches:
        raise InvalidDecision(
            f'The action "{node.action_name}" entered the branch "{name}", which it does not declare. '
            f"It declares: {', '.join(node.branches) or 'none'}."
        )
    kept = known if memory is None else memory
    entered = _new(Frame, (index, path, name, entries + 1, kept, variables))
    first = node.branches[name]
    if first is None:
        return Position((*parents, entered), BRANCH, name)
    if decision.variables:
        variables = {**variables, **decision.variables}
    inside = _new(Frame, (first, _inside(path, node.id, entries + 1), "", 0, _NOTHING, variables))
    return _new(Position, ((*parents, entered, inside), RUN, "", 1, 0))


def _return(program: Program, position: Position, decision: Any, memory: Any) -> Position | Ending:
    parents = position.frames[:-1]
    return _ended(parents) if parents else Ending(STOPPED, NO_PARENT)


def _leave(program: Program, position: Position, decision: Any, memory: Any) -> Position | Ending:
    parents = position.frames[:-1]
    if not parents:
        return Ending(STOPPED, NO_PARENT)
    if getattr(program.nodes[parents[-1].node].action, "keeps_leaving", False):
        return _ended(parents)
    return _next(program, Position(parents), decision, None)


def _stop(program: Program, position: Position, decision: StopFlow, memory: Any) -> Position | Ending:
    return Ending(STOPPED, decision.reason)


def _fail(program: Program, position: Position, decision: Fail, memory: Any) -> Position | Ending:
    return Ending(FAILED, str(decision.error))


def _wait(program: Program, position: Position, decision: Wait, memory: Any) -> Position | Ending:
    if decision.until is None and decision.event is None:
        raise InvalidDecision("A Wait needs a time (until=) or an event (event=), or it would never end.")
    frames = position.frames if memory is None else remembering(position, memory).frames
    return Position(frames, RUN if decision.repeat else WAIT)


def remembering(position: Position, memory: Mapping[str, Any]) -> Position:
    """The same position, with this as the memory of the step it is at."""
    frame = position.frames[-1]._replace(locals=memory)
    return position._replace(frames=(*position.frames[:-1], frame))


_FOLLOW: dict[type, Callable[[Program, Position, Any, Any], Position | Ending]] = {
    Next: _next,
    EnterBranch: _enter,
    ReturnToParent: _return,
    LeaveBranch: _leave,
    StopFlow: _stop,
    Fail: _fail,
    Wait: _wait,
}


def catch(program: Program, position: Position) -> Position | None:
    """Where the failure of a step is dealt with: the nearest step around it whose action catches failures."""
    frames = position.frames[:-1]
    while frames:
        frame = frames[-1]
        if frame.branch and getattr(program.nodes[frame.node].action, "catches_failures", False):
            return Position(frames, FAILURE, frame.branch)
        frames = frames[:-1]
    return None


def place(program: Program, step: str, stands: Position | None = None) -> Position:
    """The position at a step, which is to be run as if it were just reached.

    Of the steps around it, those that are also around ``stands`` keep their memory and variables; the others are as
    if they had just entered the branch it is in for the first time. Raises ``PositionGone`` when the flow has no
    such step, or passes over it.
    """
    index = program.by_id.get(step)
    if index is None:
        raise PositionGone(
            f'The flow "{program.slug}" has no step "{step}". Its steps are: {", ".join(program.by_id)}.'
        )
    chain = _chain(program, index)
    off = next((program.nodes[at].id for at in chain if not program.nodes[at].is_enabled), None)
    if off is not None:
        around = "It" if off == step else f'The step "{off}" around it'
        raise PositionGone(
            f'The flow "{program.slug}" passes over the step "{step}". {around} is not enabled in the version that the '
            "run is pinned to."
        )
    known = stands.frames if stands else ()
    frames: list[Frame] = []
    path: str = ""
    variables: Mapping[str, Any] = {}
    for current, inside in pairwise(chain):
        old = known[len(frames)] if len(frames) < len(known) else None
        if old is not None:
            # Steps of one branch have the same rounds and variables around them.
            path, variables = old.path, old.variables
        branch = program.nodes[inside].branch
        if old is None or (old.node, old.branch) != (current, branch):
            old, known = Frame(current, path, branch, 1, {}, variables), ()
        frames.append(old)
        path = _inside(path, program.nodes[current].id, old.entries)
    if len(frames) < len(known):
        path, variables = known[len(frames)].path, known[len(frames)].variables
    return Position((*frames, Frame(index, path, "", 0, {}, variables)))


def _inside(path: str, step: str, round_: int) -> str:
    """The path of steps in a branch that ``step`` entered for the ``round_``-th time."""
    return f"{path}/{step}:{round_}" if path else f"{step}:{round_}"


def _chain(program: Program, index: int) -> list[int]:
    """The steps around a step, from the top of the tree, and the step itself."""
    chain: list[int] = []
    at: int | None = index
    while at is not None:
        chain.append(at)
        at = program.nodes[at].parent
    return chain[::-1]


def dump(program: Program, position: Position) -> str:
    """The position as text, by step ids. Raises ``StateError`` for locals that cannot be stored."""
    frames = [
        [program.nodes[f.node].id, f.path, f.branch, f.entries, dict(f.locals), dict(f.variables)]
        for f in position.frames
    ]
    stored: dict[str, Any] = {"frames": frames, "phase": position.phase, "branch": position.branch}
    if position.attempt != 1 or position.event:
        stored |= {"attempt": position.attempt, "event": position.event}
    return encode(stored)


def load(program: Program, text: str) -> Position | Ending:
    """The stored position; the beginning for empty text. Raises ``PositionGone``."""
    if not text:
        return begin(program)
    stored = parse(text)
    frames = []
    for step, path, branch, entries, locals_, variables in stored["frames"]:
        index = program.by_id.get(step)
        if index is None:
            raise PositionGone(
                f'The run stands at step "{step}", which this version of "{program.slug}" does not have.'
            )
        frames.append(Frame(index, path, branch, entries, _readable(locals_), _readable(variables)))
    tries = stored.get("attempt", 1), stored.get("event", 0)
    return Position(tuple(frames), stored["phase"], stored["branch"], *tries)


def _readable(stored: dict[str, Any]) -> Mapping[str, Any]:
    """Stored values as they were put in: what refers to a model object is that object, once somebody asks."""
    return State(decode_value(stored, "cursor")).read if stored else stored
