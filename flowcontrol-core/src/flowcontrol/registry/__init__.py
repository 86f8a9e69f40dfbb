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

from .of_actions import ActionRegistry, actions, register_action, require_action_class
from .of_credential_kinds import (
    CredentialKindRegistry,
    credential_kinds,
    register_credential_kind,
    require_credential_kind,
)
from .of_schedulers import SchedulerRegistry, schedulers
from .of_triggers import (
    SignalHandler,
    TriggerRegistry,
    TriggerType,
    register_trigger,
    register_trigger_as_signal_handler,
    set_fire,
    triggers,
)
from .specs import (
    ActionSpec,
    CredentialKindSpec,
    FilterSpec,
    MissingAction,
    SchedulerSpec,
    TriggerSpec,
    import_path,
    is_name,
    is_path,
)
from .table import Registry
from .undoing import preserved, undone_on_error

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
