"""Credentials as they are kept: what may be shown in the open, and the secrets sealed."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from .database import DocumentField

__all__ = ["Credential", "CredentialQuerySet"]


class CredentialQuerySet(models.QuerySet["Credential"]):
    def of_kinds(self, kinds: tuple[str, ...]) -> CredentialQuerySet:
        """Those of these kinds; of any, when there are none."""
        return self.filter(kind__in=kinds) if kinds else self

    def sealed(self) -> CredentialQuerySet:
        """Those that have secrets of their own, encrypted."""
        return self.exclude(sealed="")


class Credential(models.Model):
    """A credential under its name, by which steps refer to it. ``flowcontrol.credentials`` reads and writes them."""

    name = models.SlugField(
        _("name"),
        max_length=100,
        unique=True,
        help_text=_("Steps refer to it by this; it cannot be changed."),
    )
    kind = models.CharField(_("kind"), max_length=200)
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    #: See ``flowcontrol.credentials.Credential.allows_host``.
    hosts: models.JSONField[list[str], list[str]] = models.JSONField(_("hosts"), default=list, blank=True)
    #: Values of the kind's form that are no secrets, as JSON.
    settings = DocumentField(_("settings"), default=dict)
    #: Names of environment variables, by secret field.
    variables: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        _("environment variables"), default=dict, blank=True
    )
    #: The other secrets, encrypted together with what they belong to; empty for none.
    sealed = models.TextField(_("secrets"), blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last changed"), auto_now=True)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")
        ordering = ["name"]
        permissions = [("use_credential", _("Can use credentials in flows"))]

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        """Where its secrets come from, in a word or two."""
        sources = [*(["stored"] if self.sealed else []), *(["environment"] if self.variables else [])]
        return " and ".join(sources) or "none"

    def facts(self) -> dict[str, Any]:
        """What the secrets belong to, and are sealed with: a seal put to another row, or other hosts, does not open."""
        return {"name": self.name, "kind": self.kind, "hosts": self.hosts, "settings": self.settings}
