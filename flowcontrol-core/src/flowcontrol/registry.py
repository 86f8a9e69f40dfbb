"""What plugins and apps bring, by name: actions, trigger types, schedulers. It stores; the engine fires.

    @register_action
    class SendInvoice(BaseAction):
        name = "shop.send_invoice"

    order_paid = register_trigger("shop.order_paid", model="shop.order")
    order_paid(order)

Plugins hand in the same things as declarations (``ActionSpec`` …) through ``flowcontrol.hookspecs``. What a
declaration names is imported on first use, never at start-up. This module imports neither models nor forms,
so that a plugin's hook module can import it before Django is set up.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from django.apps import apps

from .exceptions import ActionNotInstalled, ConfigurationError, CredentialKindMissing, RegistrationError
from .suggestions import did_you_mean

if TYPE_CHECKING:
    from django.db.models import Model

    from .base import BaseAction
    from .credentials import CredentialKind

__all__ = [
    "ActionRegistry",
    "ActionSpec",
    "CredentialKindRegistry",
    "CredentialKindSpec",
    "FilterSpec",
    "MissingAction",
    "Registry",
    "SchedulerRegistry",
    "SchedulerSpec",
    "SignalHandler",
    "TriggerRegistry",
    "TriggerSpec",
    "TriggerType",
    "actions",
    "credential_kinds",
    "import_path",
    "is_name",
    "is_path",
    "preserved",
    "register_action",
    "register_credential_kind",
    "register_trigger",
    "register_trigger_as_signal_handler",
    "require_action_class",
    "require_credential_kind",
    "schedulers",
    "set_fire",
    "triggers",
    "undone_on_error",
]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

#: As text, because importing it here would bring Django's forms into every plugin's hook module.
_BASE_ACTION = "flowcontrol.base:BaseAction"
_BASE_KIND = "flowcontrol.credentials:CredentialKind"


def is_name(name: object) -> bool:
    """Whether this can name an action or trigger type: ``<plugin or app label>.<name>``, small letters."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_path(path: object) -> bool:
    """Whether this is written as ``package.module:Name``."""
    return isinstance(path, str) and _PATH.fullmatch(path) is not None


def import_path(path: str) -> Any:
    """The object at ``package.module:Name``. Raises whatever importing it raises."""
    module_name, _, qualname = path.partition(":")
    found: Any = import_module(module_name)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _spelled_out(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ").capitalize()


def _path_of(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


@dataclass(frozen=True)
class ActionSpec:
    """An action: ``ActionSpec("http.request", "acme_http.actions:Request", "Send a request")``.

    ``path`` is ``package.module:Class`` or the class. ``label`` and ``description`` are what staff read
    before the class is imported; without a label it is the name's last part, spelled out.

    ``needs_permission=False`` is for what only steers the run and computes with what it has: whoever may edit flows may
    place it. Everything else asks for the permission to use the plugin.
    """

    name: str
    path: str | type[BaseAction]
    label: str = ""
    description: str = ""
    needs_permission: bool = True

    def __post_init__(self) -> None:
        known = None if isinstance(self.path, str) else self.path
        if not self.label:
            label = getattr(known, "label", "") or _spelled_out(str(self.name))
            object.__setattr__(self, "label", label)
        if not self.description:
            object.__setattr__(self, "description", getattr(known, "description", ""))

    @property
    def path_text(self) -> str:
        """``package.module:Class`` in either case."""
        return self.path if isinstance(self.path, str) else _path_of(self.path)


@dataclass(frozen=True)
class TriggerSpec:
    """A trigger type: ``TriggerSpec("shop.order_paid", "Order paid", model="shop.order")``.

    ``model`` is the ``app.model`` of the object it is fired with, empty for any or none.
    """

    name: str
    label: str = ""
    model: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", _spelled_out(str(self.name)))


@dataclass(frozen=True)
class FilterSpec:
    """A filter for expressions: ``FilterSpec("slug", "flowcontrol_actions_text.filters:slug")``.

    The function gets the value and at most one argument. Filter names have no dot; one name has one provider.
    """

    name: str
    path: str | Callable[..., Any]


@dataclass(frozen=True)
class SchedulerSpec:
    """A scheduler: ``SchedulerSpec("celery", "flowcontrol_celery.scheduler:CeleryScheduler")``.

    ``task`` is the dotted path of its task that executes what is due, if it has tasks:
    ``flowcontrol.tasks.continue_flowruns_task`` is that one then.
    """

    name: str
    path: str | type[Any]
    label: str = ""
    task: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", _spelled_out(str(self.name)))


@dataclass(frozen=True)
class CredentialKindSpec:
    """A kind of credential: ``CredentialKindSpec("http.bearer", "acme_http.credentials:Bearer", "Bearer token")``.

    ``path`` is ``package.module:Class`` or the class; without a label it is the name's last part, spelled out.
    """

    name: str
    path: str | type[CredentialKind]
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            known = "" if isinstance(self.path, str) else str(getattr(self.path, "label", ""))
            object.__setattr__(self, "label", known or _spelled_out(str(self.name)))

    @property
    def path_text(self) -> str:
        """``package.module:Class`` in either case."""
        return self.path if isinstance(self.path, str) else _path_of(self.path)


@dataclass(frozen=True)
class MissingAction:
    """Stands in for an action that cannot be run here: the step stays, and says why and what to do."""

    name: str
    #: Why, as a sentence.
    reason: str
    #: What to do, as a sentence.
    hint: str

    @property
    def label(self) -> str:
        return self.name

    def __str__(self) -> str:
        return f'The action "{self.name}" is missing. {self.reason} {self.hint}'.rstrip()


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Spec = TypeVar("Spec", bound=_Named)


class Registry(Generic[Spec]):
    """Declarations by name, each with its provider (words for messages). Safe to use from several threads."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._lock = threading.RLock()
        self._specs: dict[str, Spec] = {}
        self._providers: dict[str, str] = {}

    def register(self, spec: Spec, provider: str) -> None:
        """Add a declaration; the very same one again changes nothing.

        Raises ``RegistrationError`` naming both providers when the name is taken: nothing is ever overridden.
        """
        self.check_name(spec.name, provider)
        with self._lock:
            taken = self._specs.get(spec.name)
            if taken is None:
                self._specs[spec.name] = spec
                self._providers[spec.name] = provider
            elif not self.is_same(taken, spec):
                raise RegistrationError(
                    f'The {self.kind} "{spec.name}" of {provider} cannot be registered: '
                    f"{self._providers[spec.name]} has this name. Give one of them another name."
                )

    def check_name(self, name: str, provider: str) -> None:
        """Raises ``RegistrationError`` for a name of the wrong form."""
        if not is_name(name):
            raise RegistrationError(
                f"{provider} registers a {self.kind} with the name {name!r}. It is the name of a plugin "
                f"or the label of the app, a dot, and small letters, digits or underscores: shop.send_invoice."
            )

    def is_same(self, taken: Spec, spec: Spec) -> bool:
        """Whether ``spec`` repeats ``taken`` (a module imported twice) rather than overrides it."""
        return taken == spec

    def unregister(self, name: str) -> None:
        """Forget a name, known or not. For tests and for plugins that fail half way."""
        with self._lock:
            self._specs.pop(name, None)
            self._providers.pop(name, None)

    def unregister_provider(self, provider: str) -> None:
        """Forget all that came from one provider."""
        with self._lock:
            for name in [name for name, one in self._providers.items() if one == provider]:
                self.unregister(name)

    def specs(self) -> list[Spec]:
        """All declarations, by name."""
        with self._lock:
            return sorted(self._specs.values(), key=lambda spec: spec.name)

    def names(self) -> list[str]:
        with self._lock:
            return sorted(self._specs)

    def get_spec(self, name: str) -> Spec | None:
        return self._specs.get(name)

    def provider(self, name: str) -> str:
        """Who provides a name, in words; empty for nobody."""
        return self._providers.get(name, "")

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Inside, register at will; afterwards everything is as before. For tests."""
        kept = self._copies()
        try:
            yield
        finally:
            with self._lock:
                self._restore(kept)

    def _copies(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(table) for table in self._tables()]

    def _restore(self, kept: list[dict[str, Any]]) -> None:
        for table, copy in zip(self._tables(), kept, strict=True):
            table.clear()
            table.update(copy)

    def _tables(self) -> list[dict[str, Any]]:
        return [self._specs, self._providers]


class ActionRegistry(Registry[ActionSpec]):
    """Actions: declared at start-up, imported on first use, one instance each."""

    def __init__(self) -> None:
        super().__init__("action")
        self._instances: dict[str, BaseAction | MissingAction] = {}
        #: By prefix: why a plugin's actions are not there, and what to do. Filled by the plugin loader.
        self._unavailable: dict[str, tuple[str, str]] = {}

    def resolve(self, name: str) -> BaseAction | MissingAction:
        """The action's one instance or, without one, a ``MissingAction`` that says why. Never raises."""
        found = self._instances.get(name)
        if found is not None:
            return found
        spec = self._specs.get(name)
        if spec is None:
            return self._missing(name)
        # Not under the lock: the module may be on its way in in another thread and about to register an
        # action.
        made = self._make(spec)
        with self._lock:
            if self._specs.get(name) is not spec:
                return made
            return self._instances.setdefault(name, made)

    def get(self, name: str) -> BaseAction:
        """The action's one instance. Raises ``ActionNotInstalled`` with the reason."""
        found = self.resolve(name)
        if isinstance(found, MissingAction):
            raise ActionNotInstalled(str(found))
        return found

    def mark_unavailable(self, prefix: str, reason: str, hint: str) -> None:
        """Remember why no action ``<prefix>.…`` is there, for the ``MissingAction`` of each."""
        with self._lock:
            self._unavailable[prefix] = (reason, hint)

    def why_unavailable(self, prefix: str) -> tuple[str, str]:
        """Why a plugin's declarations are not there, and what to do; both empty when nothing is known of it."""
        return self._unavailable.get(prefix, ("", ""))

    def is_same(self, taken: ActionSpec, spec: ActionSpec) -> bool:
        # A class that a plugin declares as text may register itself as well, when it is imported.
        return taken.path_text == spec.path_text

    def unregister(self, name: str) -> None:
        with self._lock:
            super().unregister(name)
            self._instances.pop(name, None)

    def _make(self, spec: ActionSpec) -> BaseAction | MissingAction:
        try:
            return _instance(spec)
        except Exception as error:
            # The one place where an action's own module runs: whatever it raises is its plugin's fault.
            logger.exception("action cannot be imported action=%s path=%s", spec.name, spec.path_text)
            return MissingAction(
                spec.name,
                f"{self.provider(spec.name)} declares it as {spec.path_text}, which cannot be imported: "
                f"{type(error).__name__}: {error}",
                "Mend or update what provides it and restart.",
            )

    def _missing(self, name: str) -> MissingAction:
        if not is_name(name):
            return MissingAction(name, f"{name!r} is no name of an action.", did_you_mean(name, self.names()))
        prefix = name.partition(".")[0]
        suggestion = did_you_mean(name, self.names())
        if prefix in self._unavailable:
            return MissingAction(name, *self._unavailable[prefix])
        neighbours = [one for one in self.names() if one.startswith(f"{prefix}.")]
        if neighbours:
            listed = suggestion or f"There are: {', '.join(neighbours)}."
            return MissingAction(name, f"{self.provider(neighbours[0])} has no such action.", listed)
        if prefix in apps.app_configs:
            return MissingAction(
                name,
                f'The app "{prefix}" registers no such action.',
                suggestion
                or f"Register it in the module flow_actions of the app {apps.app_configs[prefix].name}.",
            )
        return MissingAction(
            name,
            f'No plugin "{prefix}" is installed.',
            suggestion or f"Try: pip install flowcontrol-actions-{prefix.replace('_', '-')}, and restart.",
        )

    def _tables(self) -> list[dict[str, Any]]:
        return [*super()._tables(), self._instances, self._unavailable]


def _instance(spec: ActionSpec) -> BaseAction:
    found = import_path(spec.path) if isinstance(spec.path, str) else spec.path
    require_action_class(found, spec.path_text)
    action_class: type[BaseAction] = found
    if not action_class.name:
        action_class.name = spec.name
    elif action_class.name != spec.name:
        raise RegistrationError(
            f'{spec.path_text} is declared as "{spec.name}", but its class says "{action_class.name}". '
            "Write the same name in both places."
        )
    return action_class()


def require_action_class(found: object, where: str) -> None:
    """Raises ``RegistrationError`` unless ``found`` is a class that inherits ``BaseAction``."""
    # Whoever defines an action has imported the base class already, so this costs a look-up.
    base: type = import_path(_BASE_ACTION)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise RegistrationError(
            f"{where} is {found!r}; an action is a class that inherits flowcontrol.base.BaseAction."
        )


class TriggerRegistry(Registry[TriggerSpec]):
    """Trigger types, the signal handlers made for them, and the function that fires them."""

    def __init__(self) -> None:
        super().__init__("trigger type")
        # Django's signals hold receivers weakly, and a handler passed straight to connect() has no other
        # owner: without this list it would be collected at once and never be called.
        self._handlers: list[SignalHandler] = []
        self._fire: Callable[..., Any] | str | None = None

    def get(self, name: str) -> TriggerSpec | None:
        """The declaration of a trigger type, or None."""
        return self.get_spec(name)

    def keep(self, handler: SignalHandler) -> None:
        """Hold on to a handler for as long as the process lives."""
        with self._lock:
            self._handlers.append(handler)

    def set_fire(self, function: Callable[..., Any] | str) -> None:
        """Install ``function(name, obj=None, state=None)``, itself or as a path to import on first use."""
        self._fire = function

    def fire(self, name: str, obj: Model | None = None, state: Mapping[str, Any] | None = None) -> None:
        """Fire a trigger type. A trigger never hurts its caller: without an engine this logs an error."""
        function = import_path(self._fire) if isinstance(self._fire, str) else self._fire
        if function is None:
            logger.error(
                "trigger lost, because flowcontrol is not ready: is it in INSTALLED_APPS? trigger=%s", name
            )
            return
        self._fire = function
        function(name, obj, state)


class SchedulerRegistry(Registry[SchedulerSpec]):
    """Schedulers, of which ``settings.FLOWCONTROL["SCHEDULER"]`` names one."""

    def __init__(self) -> None:
        super().__init__("scheduler")

    def check_name(self, name: str, provider: str) -> None:
        if not (isinstance(name, str) and (name.isidentifier() or is_name(name))):
            raise RegistrationError(
                f"{provider} registers a scheduler with the name {name!r}. A scheduler has the name of its "
                "plugin, such as celery, or <plugin>.<name>."
            )

    def load(self, name: str) -> Any:
        """What a scheduler's declaration names, imported. Raises ``ConfigurationError`` with the way out."""
        spec = self.get_spec(name)
        if spec is None:
            suggestion = did_you_mean(name, self.names()) or f"There are: {', '.join(self.names())}."
            raise ConfigurationError(
                f'settings.FLOWCONTROL["SCHEDULER"] is "{name}", which no loaded plugin provides. '
                f"{suggestion}"
            )
        if not isinstance(spec.path, str):
            return spec.path
        try:
            return import_path(spec.path)
        except Exception as error:
            raise ConfigurationError(
                f'The scheduler "{name}" of {self.provider(name)} cannot be imported from {spec.path}: '
                f'{type(error).__name__}: {error}. Mend it, or set FLOWCONTROL["SCHEDULER"] to "polling".'
            ) from error


class CredentialKindRegistry(Registry[CredentialKindSpec]):
    """Kinds of credentials: declared at start-up, imported on first use."""

    def __init__(self) -> None:
        super().__init__("kind of credential")

    def load(self, name: str) -> type[CredentialKind]:
        """The class of a kind. Raises ``CredentialKindMissing`` with the reason and the way out."""
        spec = self.get_spec(name)
        if spec is None:
            raise CredentialKindMissing(f'The kind of credential "{name}" is missing. {self._way_out(name)}')
        try:
            return _kind(spec)
        except Exception as error:
            logger.exception("kind of credential cannot be imported kind=%s path=%s", name, spec.path_text)
            raise CredentialKindMissing(
                f'The kind of credential "{name}" of {self.provider(name)} cannot be imported from {spec.path_text}: '
                f"{type(error).__name__}: {error}. Mend or update what provides it and restart."
            ) from error

    def is_same(self, taken: CredentialKindSpec, spec: CredentialKindSpec) -> bool:
        return taken.path_text == spec.path_text

    def _way_out(self, name: str) -> str:
        prefix = str(name).partition(".")[0]
        known = [one for one in self.names() if one.startswith(f"{prefix}.")]
        if suggestion := did_you_mean(name, self.names()):
            return suggestion
        if known:
            return f"{self.provider(known[0])} has: {', '.join(known)}."
        reason, hint = actions.why_unavailable(prefix)
        return f"{reason} {hint}".strip() or f'Install, or switch on, the plugin "{prefix}", and restart.'


def _kind(spec: CredentialKindSpec) -> type[CredentialKind]:
    found = import_path(spec.path) if isinstance(spec.path, str) else spec.path
    require_credential_kind(found, spec.path_text)
    kind: type[CredentialKind] = found
    if not kind.name:
        kind.name = spec.name
    elif kind.name != spec.name:
        raise RegistrationError(
            f'{spec.path_text} is declared as "{spec.name}", but its class says "{kind.name}". '
            "Write the same name in both places."
        )
    return kind


def require_credential_kind(found: object, where: str) -> None:
    """Raises ``RegistrationError`` unless ``found`` is a class that inherits ``CredentialKind``."""
    base: type = import_path(_BASE_KIND)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise RegistrationError(
            f"{where} is {found!r}; a kind of credential is a class that inherits "
            "flowcontrol.credentials.CredentialKind."
        )


actions = ActionRegistry()
credential_kinds = CredentialKindRegistry()
triggers = TriggerRegistry()
schedulers = SchedulerRegistry()
schedulers.register(
    SchedulerSpec("polling", "flowcontrol.engine.polling:PollingScheduler", "Polling the database"),
    provider="flowcontrol-core",
)
schedulers.register(
    SchedulerSpec("inline", "flowcontrol.engine.inline:InlineScheduler", "At once, for tests and scripts"),
    provider="flowcontrol-core",
)


@contextmanager
def preserved() -> Iterator[None]:
    """Inside, register at will; afterwards all registries are as before. For tests."""
    with actions.preserved(), triggers.preserved(), schedulers.preserved(), credential_kinds.preserved():
        yield


@contextmanager
def undone_on_error() -> Iterator[None]:
    """What is registered inside goes away again when the block raises: half of a module's actions is none."""
    registries: tuple[Registry[Any], ...] = (actions, triggers, schedulers, credential_kinds)
    kept = [registry._copies() for registry in registries]
    try:
        yield
    except BaseException:
        for registry, copies in zip(registries, kept, strict=True):
            with registry._lock:
                registry._restore(copies)
        raise


Action = TypeVar("Action", bound="type[BaseAction]")


def register_action(action_class: Action) -> Action:
    """Register an action under its ``name``; a class decorator or a plain call, from any app.

    The module ``flow_actions`` of every installed app is imported at start-up, so that is where it belongs.
    Raises ``RegistrationError`` for a name of the wrong form, or one that is taken by another class.
    """
    where = getattr(action_class, "__qualname__", repr(action_class))
    require_action_class(action_class, where)
    name = action_class.name
    actions.register(ActionSpec(name, action_class), provider=_path_of(action_class))
    return action_class


Kind = TypeVar("Kind", bound="type[CredentialKind]")


def register_credential_kind(kind: Kind) -> Kind:
    """Register a kind of credential under its ``name``; a class decorator or a plain call, in ``flow_actions``.

    Raises ``RegistrationError`` for a name of the wrong form, or one that is taken by another class.
    """
    require_credential_kind(kind, getattr(kind, "__qualname__", repr(kind)))
    credential_kinds.register(CredentialKindSpec(kind.name, kind), provider=_path_of(kind))
    return kind


class TriggerType:
    """What ``register_trigger`` returns: call it to fire the trigger."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, obj: Model | None = None, state: Mapping[str, Any] | None = None) -> None:
        """Start the flows that a trigger ties to this, about ``obj``, with ``state`` to begin with."""
        triggers.fire(self.name, obj, state)


class SignalHandler:
    """A receiver that fires a trigger type with the object that its signal is about.

    Fixtures being loaded (``raw=True``) fire nothing, and neither do objects of another model than the trigger's.
    """

    def __init__(self, name: str, model: str, argument: str) -> None:
        self.name = name
        #: "app.model", or empty for any.
        self.model = model
        #: Which argument of the signal is the object.
        self.argument = argument

    def __call__(self, sender: Any = None, **kwargs: Any) -> None:
        if kwargs.get("raw"):
            return
        obj = kwargs.get(self.argument)
        if self.model and not _is_of(obj, self.model):
            return
        triggers.fire(self.name, obj)


def _is_of(obj: Any, model: str) -> bool:
    """Whether an object is of the model "app.model", or of a proxy or child of it."""
    labels = (getattr(getattr(kin, "_meta", None), "label_lower", None) for kin in type(obj).__mro__)
    return model in labels


def register_trigger(
    name: str, model: str | type[Model] | None = None, label: str = "", description: str = ""
) -> TriggerType:
    """Register a trigger type and return the function that fires it: ``trigger(obj=None, state=None)``.

    ``model`` (class or "app.model") is what ``obj`` has to be. Firing never raises and starts nothing before
    the caller's transaction is committed. Raises ``RegistrationError`` for a name that is malformed or taken.
    """
    _declare_trigger(name, model, label, description)
    return TriggerType(name)


def register_trigger_as_signal_handler(
    name: str,
    model: str | type[Model] | None = None,
    label: str = "",
    description: str = "",
    *,
    argument: str = "instance",
) -> SignalHandler:
    """Register a trigger type and return a receiver that fires it.

        post_save.connect(register_trigger_as_signal_handler("shop.order_saved", model=Order))
        user_logged_in.connect(register_trigger_as_signal_handler("shop.login", argument="user"))

    With ``model``, other senders' objects are passed over. ``argument`` names what the signal calls its
    object. The handler may be handed straight to ``connect``: flowcontrol keeps it alive.
    """
    handler = SignalHandler(name, _declare_trigger(name, model, label, description).model, argument)
    triggers.keep(handler)
    return handler


def _declare_trigger(name: str, model: str | type[Model] | None, label: str, description: str) -> TriggerSpec:
    text = "" if model is None else model if isinstance(model, str) else model._meta.label
    spec = TriggerSpec(name, label=label, model=text.lower(), description=description)
    # Two frames up is the module that registers: the name by which a clash is found in the project.
    triggers.register(spec, provider=str(sys._getframe(2).f_globals.get("__name__", "a module")))
    return spec


def set_fire(function: Callable[..., Any] | str) -> None:
    """Install what firing a trigger calls; see ``TriggerRegistry.set_fire``."""
    triggers.set_fire(function)
