"""What the author of an action uses: the base class, the decisions it answers with and the context it gets."""

from __future__ import annotations

import enum
import logging
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from django.db.models import Model

from .forms import ActionForm

if TYPE_CHECKING:
    from .credentials import Credential
    from .expressions import Expression, Scope, Template

__all__ = [
    "ActionContext",
    "ActionForm",
    "BaseAction",
    "Decision",
    "Effect",
    "EnterBranch",
    "Fail",
    "Failure",
    "LeaveBranch",
    "Next",
    "Retry",
    "ReturnToParent",
    "StopFlow",
    "Wait",
    "Wakeup",
]

#: Name of the branch that a step's own ``steps`` make up.
STEPS = "steps"


class Effect(enum.Enum):
    """What running an action touches; the engine derives from it when a checkpoint is written.

    ``PURE``: only state and control flow; after a crash repeated with the same result, unseen by anybody.
    ``DATABASE``: writes through Django's database only; in one transaction with its checkpoint, exactly once.
    ``EXTERNAL``: touches the world; at least once after a crash, with the same idempotency key each time.
    """

    PURE = "pure"
    DATABASE = "database"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Retry:
    """When a step that failed is tried again. Between tries the run waits in the database, and in no worker.

    ``attempts`` counts all tries, the first included. The ``n``-th failure is followed by a wait of
    ``delay * backoff ** (n - 1)`` seconds, at most ``max_delay``, made longer or shorter by up to ``jitter`` of it
    by chance, so that many that failed together do not come back together. ``on`` are names of exception classes
    (``TimeoutError``, ``requests.ConnectionError``, subclasses count); empty: every error. An error that has a
    ``retry_after`` (seconds) is waited for at least so long.
    """

    attempts: int = 1
    delay: float = 10.0
    backoff: float = 2.0
    max_delay: float = 3_600.0
    jitter: float = 0.1
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a step inside a branch failed for good, for ``BaseAction.after_failure``."""

    #: Id and name of the step.
    step: str
    name: str
    #: Name of the exception's class; "Fail" when the action answered so.
    type: str
    message: str
    #: Tries that were made.
    attempt: int = 1
    #: The branch of the step asked in which it happened.
    branch: str = STEPS


@dataclass(frozen=True)
class Next:
    """Go on with the next step. ``None`` means the same."""


@dataclass(frozen=True)
class EnterBranch:
    """Run the steps of a branch, then ask ``after_branch``; an empty branch asks it at once.

    ``variables`` are names that expressions of the steps inside can read (a loop's counter).
    """

    name: str = STEPS
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReturnToParent:
    """End the branch this step is in and ask its parent's ``after_branch``; without a parent the flow stops."""


@dataclass(frozen=True)
class LeaveBranch:
    """Go on with the step after the parent, which is not asked again; without a parent the flow stops."""


@dataclass(frozen=True)
class StopFlow:
    """End the run as *stopped*, with this reason in its record."""

    reason: str = ""


@dataclass(frozen=True)
class Wait:
    """Suspend the run until a time (aware), until an event (name of a trigger type), or whichever comes first.

    Afterwards ``after_wait`` is asked or, with ``repeat``, ``run`` once more. A wait shorter than
    ``FLOWCONTROL["MIN_WAIT_SECONDS"]`` is made that long. ``match_object``: only an event about the run's own
    object counts. Neither time nor event is an error.
    """

    until: datetime | None = None
    event: str | None = None
    repeat: bool = False
    match_object: bool = True


@dataclass(frozen=True)
class Fail:
    """End the run as *failed*; state and position are kept, so that it can be restarted from this step."""

    error: str | BaseException


Decision = Next | EnterBranch | ReturnToParent | LeaveBranch | StopFlow | Wait | Fail


@dataclass(frozen=True)
class Wakeup:
    """Why a wait ended: ``event`` and its ``payload`` when the event came, neither when the time was up."""

    event: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_timeout(self) -> bool:
        return self.event is None


class ActionContext(Protocol):
    """All an action sees of the run. New members may come; none is removed within an API version."""

    #: The cleaned data of the step's configuration form.
    config: Mapping[str, Any]
    #: The run's data. Write values that a state can hold; others are refused, naming the key.
    state: MutableMapping[str, Any]
    #: The step's own memory for as long as it is visited (a loop's counter); values as in a state.
    locals: MutableMapping[str, Any]
    step_id: str
    #: 1 for the first try of this visit, one more after each failure that is retried, and after each crash.
    attempt: int

    @property
    def now(self) -> datetime:
        """When the step was asked; aware, by the database's clock."""

    @property
    def run_id(self) -> int:
        """The run's primary key."""

    @property
    def branches(self) -> frozenset[str]:
        """Names of the step's branches that have steps in them."""

    @property
    def idempotency_key(self) -> str:
        """The same for every try of this visit of this step, and for no other: send it along to the outside world."""

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs with the run, the flow and the step as ``extra``."""

    @property
    def object(self) -> Model | None:
        """The model object the run is about, read when first asked for. Raises ``ObjectGone`` when deleted."""

    @property
    def scope(self) -> Scope:
        """What expressions of this step can read."""

    def credential(self, name: str, *, kinds: Collection[str] | None = None) -> Credential:
        """The credential of this name, its secrets decrypted. ``kinds``: those that will do; None: any.

        Its secrets are masked from now on in all that is written of this stretch of the run: state, history, reasons,
        tracebacks, logs. Keep neither it nor them. Raises ``CredentialError``, which says which, why and the way out.
        """

    def keep_secret(self, *texts: str) -> None:
        """Have these masked as the secrets of a credential are: a token that was had with one, for example."""

    def is_retried(self, error: BaseException) -> bool:
        """Whether the step is tried again when it raises this error now, as its ``retry`` says.

        For an action that deals with its failures itself, in a branch, once its tries are used up.
        """

    def evaluate(self, expression: Expression) -> Any:
        """The value of a compiled expression here and now. Raises ``EvaluationError``."""

    def is_true(self, expression: Expression) -> bool:
        """Whether a condition holds here and now, asking no object whether it is true. Raises ``EvaluationError``."""

    def render(self, template: Template) -> str:
        """The text of a compiled template here and now. Raises ``EvaluationError``."""


class BaseAction:
    """The reusable code behind a step. One instance serves all steps and threads: keep nothing on ``self``.

    Any exception that a method raises fails the run at this step, with the traceback kept.
    """

    #: Full name, ``<plugin>.<action>``; of an action of the project's own app ``<app label>.<action>``.
    name: ClassVar[str] = ""
    #: What staff read; the name's last part, spelled out, when empty.
    label: ClassVar[str] = ""
    description: ClassVar[str] = ""
    effect: ClassVar[Effect] = Effect.EXTERNAL
    #: Names of the branches its steps may have: ``("steps",)`` for ``steps:`` alone, ``("steps", "else")`` …
    branches: ClassVar[tuple[str, ...]] = ()
    #: One more whenever stored configurations have to be changed by ``migrate_config``.
    config_version: ClassVar[int] = 1

    #: Tries of its steps when the flow does not say; None: one.
    retry: ClassVar[Retry | None] = None
    #: Time limit of one call of its steps when the flow does not say; None: FLOWCONTROL["STEP_TIMEOUT_SECONDS"].
    timeout: ClassVar[timedelta | None] = None
    #: Whether ``after_failure`` is asked when a step inside it fails.
    catches_failures: ClassVar[bool] = False
    #: Whether ``LeaveBranch`` of a step directly inside it ends the branch, so that ``after_branch`` is asked.
    keeps_leaving: ClassVar[bool] = False

    #: The form of its configuration: a nested class of this name. Without one there is nothing to configure.
    Config: ClassVar[type[ActionForm]] = ActionForm

    def run(self, context: ActionContext) -> Decision | None:
        """The step is reached. None means ``Next()``."""
        raise NotImplementedError(f"{type(self).__qualname__} has to define run().")

    def after_branch(self, context: ActionContext, branch: str) -> Decision | None:
        """A branch that this step entered came to its end."""
        return Next()

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> Decision | None:
        """What this step waited for happened, or its time was up."""
        return Next()

    def after_failure(self, context: ActionContext, failure: Failure) -> Decision | None:
        """A step inside the branch that this step entered failed for good, its retries used up.

        Asked of the innermost step around it whose action has ``catches_failures``. None means that the failure is
        not dealt with here: the next such step outwards is asked, and without one the run fails where it stands.
        """
        return None

    def summary(self, config: Mapping[str, Any]) -> str:
        """The configured step in a few plain words, for people; empty for none. ``config`` is cleaned."""
        return ""

    @classmethod
    def migrate_config(cls, config: dict[str, Any], from_version: int) -> dict[str, Any]:
        """A stored configuration of an earlier ``config_version``, brought to the present one."""
        return config
