"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, TriggerSpec

_HERE = "flowcontrol_actions_http"


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        label="HTTP",
        description="HTTP requests, webhooks and callbacks for flowcontrol.",
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec(
            "http.request",
            f"{_HERE}.request:Request",
            "Send request",
            "Sends an HTTP request and keeps what its answer says.",
        ),
        ActionSpec(
            "http.for_each_page",
            f"{_HERE}.for_each_page:ForEachPage",
            "For each page",
            "Reads an answer that comes in pages, and runs its steps for each of them.",
        ),
    ]


@hookimpl
def flowcontrol_register_credential_kinds() -> list[CredentialKindSpec]:
    return [
        CredentialKindSpec("http.basic", f"{_HERE}.kinds:Basic", "User name and password"),
        CredentialKindSpec("http.bearer", f"{_HERE}.kinds:Bearer", "Bearer token"),
        CredentialKindSpec("http.api_key", f"{_HERE}.kinds:ApiKey", "API key"),
        CredentialKindSpec("http.oauth2_client", f"{_HERE}.kinds:OAuth2Client", "OAuth 2 client credentials"),
    ]


@hookimpl
def flowcontrol_register_triggers() -> list[TriggerSpec]:
    """Fire it where it happens: ``flowcontrol.engine.fire_trigger("http.happened", obj)``."""
    return [TriggerSpec("http.happened", "Something happened")]


@hookimpl
def flowcontrol_register_urls() -> str:
    return "flowcontrol_actions_http.urls"
