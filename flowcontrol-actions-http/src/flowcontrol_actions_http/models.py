"""The tables of this pack: addresses that are called, the calls, and what runs have to say to callers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from . import conf

__all__ = ["Call", "Callback", "CallbackQuerySet", "Endpoint", "Reply", "digest", "new_token"]

#: Names of headers that say who somebody is, and so are nothing for a run's state.
_TELLING = re.compile(r"authorization|cookie|signature|token|secret|api-?key|password", re.IGNORECASE)
_HEADER = re.compile(r"[A-Za-z0-9-]+")
#: Headers that a run is given of every call that has them.
_ALWAYS_KEPT = (
    "content-type",
    "user-agent",
    "x-github-event",
    "x-github-delivery",
    "webhook-id",
    "webhook-timestamp",
)
#: A worker or a web server waits for no reply longer than this.
LONGEST_WAIT_SECONDS = 25
_REPLY_DAYS = 1


def new_token() -> str:
    """256 bits that nobody guesses."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What a token is looked up by: how long that takes says nothing about it, and case counts on every database."""
    return sha256(token.encode(errors="surrogatepass")).hexdigest()


class Endpoint(models.Model):
    """An address that others call: flows listen with ``on: http.webhook`` and ``condition: endpoint == 'payments'``."""

    class Style(models.TextChoices):
        STANDARD = "standard", _("Standard Webhooks (webhook-signature)")
        GITHUB = "github", _("GitHub (X-Hub-Signature-256)")
        STRIPE = "stripe", _("Stripe (Stripe-Signature)")
        BASIC = "basic", _("User name and password")
        NONE = "none", _("Nothing: whoever knows the URL")

    class Body(models.TextChoices):
        JSON = "json", _("JSON")
        FORM = "form", _("Form")
        RAW = "raw", _("Text")

    name = models.SlugField(
        _("name"), max_length=100, unique=True, help_text=_("Flows listen for it: endpoint == 'name'.")
    )
    note = models.CharField(
        _("note"), max_length=200, blank=True, default="", help_text=_("Who calls it, and why. For people.")
    )
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("While it is not, callers are answered as if there were no such URL."),
    )
    #: As it is, and not only its digest: whoever sets the sender up has to copy the URL. What a caller may do, with
    #: every style but "none", takes the credential's secret, which is kept encrypted.
    token = models.CharField(_("token"), max_length=64, default=new_token, editable=False)
    token_digest = models.CharField(_("digest of the token"), max_length=64, unique=True, editable=False)
    style = models.CharField(
        _("how calls are verified"), max_length=10, choices=Style.choices, default=Style.STANDARD
    )
    #: By its name, with which it is opened: a call costs no other look-up.
    credential = models.ForeignKey(
        "flowcontrol.Credential",
        on_delete=models.PROTECT,
        to_field="name",
        db_column="credential",
        # While the pack is switched off nobody protects the credential, and no constraint may be in the way.
        db_constraint=False,
        null=True,
        blank=True,
        verbose_name=_("credential"),
        help_text=_("Holds the secret that the sender has, too."),
    )
    body = models.CharField(_("body"), max_length=10, choices=Body.choices, default=Body.JSON)
    kept_headers = models.CharField(
        _("headers to keep"),
        max_length=500,
        blank=True,
        default="",
        help_text=_("Names of headers that flows may read beside the usual ones, with spaces between them."),
    )
    calls_per_minute = models.PositiveIntegerField(
        _("calls per minute"),
        default=600,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
        help_text=_("More are answered with 429, “too many requests”."),
    )
    wait_seconds = models.PositiveSmallIntegerField(
        _("wait for a reply"),
        default=0,
        validators=[MaxValueValidator(LONGEST_WAIT_SECONDS)],
        help_text=_(
            "So many seconds a caller waits at most for what a step http.respond answers; 0: not at all. Each waiting "
            "caller occupies a thread of the web server."
        ),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    if TYPE_CHECKING:
        calls: Any

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, **kwargs: Any) -> None:
        self.token_digest = digest(self.token)
        if kwargs.get("update_fields") is not None and "token" in kwargs["update_fields"]:
            kwargs["update_fields"] = {*kwargs["update_fields"], "token_digest"}
        super().save(**kwargs)

    def rotate(self) -> None:
        """Another URL from now on; the one before is as unknown as any other."""
        self.token = new_token()
        self.save(update_fields=["token"])

    def headers(self) -> tuple[str, ...]:
        """Names of the headers that a run is given, in small letters."""
        return (*_ALWAYS_KEPT, *self.kept_headers.lower().split())

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        if self.style == self.Style.NONE and self.credential_id:
            errors["credential"] = _("With this way of verification no credential is used; leave it empty.")
        if self.style != self.Style.NONE and not self.credential_id:
            errors["credential"] = _("Choose the credential with the secret that calls are verified with.")
        for name in self.kept_headers.split():
            if not _HEADER.fullmatch(name) or _TELLING.search(name):
                errors["kept_headers"] = _("“%(name)s” is no header for flows to read.") % {"name": name}
        if errors:
            raise ValidationError(errors)


class CallQuerySet(models.QuerySet["Call"]):
    def taken_since(self, then: datetime) -> CallQuerySet:
        outcomes = [Call.Outcome.ACCEPTED, Call.Outcome.REPEATED]
        return self.filter(received_at__gt=then, outcome__in=outcomes)


class Call(models.Model):
    """A call of an endpoint, and what came of it. The ids that are not to come twice are kept with the events."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", _("accepted")
        REPEATED = "repeated", _("came before")
        REFUSED = "refused", _("refused")
        UNVERIFIED = "unverified", _("not verified")

    endpoint = models.ForeignKey(
        Endpoint, verbose_name=_("endpoint"), on_delete=models.CASCADE, related_name="calls", db_index=False
    )
    received_at = models.DateTimeField(_("received at"))
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices)
    reason = models.CharField(_("reason"), max_length=300, blank=True, default="")
    message_id = models.CharField(_("id of the message"), max_length=255, blank=True, default="")
    #: Keys of the runs that it started.
    runs: models.JSONField[list[int], list[int]] = models.JSONField(_("runs"), default=list)

    objects = CallQuerySet.as_manager()

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["endpoint", "received_at"], name="flowcontrol_http_call"),
            models.Index(fields=["received_at"], name="flowcontrol_http_call_age"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.outcome}"

    @classmethod
    def old(cls, now: datetime) -> models.QuerySet[Call]:
        """Those to forget."""
        days = timedelta(days=conf.get("CALL_RETENTION_DAYS"))
        return cls.objects.filter(received_at__lt=now - days).order_by("received_at")


def _runs(model: type[models.Model]) -> models.QuerySet[Any]:
    """The runs that a model refers to."""
    runs = model._meta.get_field("run").related_model
    assert isinstance(runs, type)
    assert issubclass(runs, models.Model)
    return runs._base_manager.all()


class Reply(models.Model):
    """What a run has to say to whoever called: the answer of its step ``http.respond``."""

    # Without a constraint in the database: while this pack is switched off, runs can still be deleted. And without
    # Django's asking for it at each deletion of a run: what is left behind is deleted by its age.
    run = models.OneToOneField(
        "flowcontrol.FlowRun",
        verbose_name=_("run"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    status = models.PositiveSmallIntegerField(_("status"), default=200)
    headers: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(_("headers"), default=dict)
    body = models.TextField(_("body"), blank=True, default="")
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("reply")
        verbose_name_plural = _("replies")
        indexes = [models.Index(fields=["created_at"], name="flowcontrol_http_reply_age")]

    def __str__(self) -> str:
        return f"{self.run_id}"

    @classmethod
    def are_over(cls, runs: Sequence[int]) -> bool:
        """Whether none of these runs will have anything to say any more."""
        return not _runs(cls).filter(pk__in=runs, ended_at=None).exists()

    @classmethod
    def old(cls, now: datetime) -> models.QuerySet[Reply]:
        """Those to forget: a message that comes again within a day gets its reply again."""
        return cls.objects.filter(created_at__lt=now - timedelta(days=_REPLY_DAYS)).order_by("created_at")


class CallbackQuerySet(models.QuerySet["Callback"]):
    def open(self, now: datetime) -> CallbackQuerySet:
        """Those that can be answered."""
        in_time = Q(expires_at=None) | Q(expires_at__gt=now)
        return self.filter(in_time, used_at=None, closed_at=None)


class Callback(models.Model):
    """A link that one step of one run handed out, to be used once."""

    run = models.ForeignKey(
        "flowcontrol.FlowRun",
        verbose_name=_("run"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    step = models.CharField(_("step"), max_length=64)
    #: Which visit of the step it is for: its idempotency key.
    visit = models.CharField(_("visit"), max_length=200)
    digest = models.CharField(_("digest of the token"), max_length=64, unique=True)
    question = models.CharField(_("question"), max_length=500, blank=True, default="")
    text = models.TextField(_("text"), blank=True, default="")
    #: Pairs of name and label.
    choices: models.JSONField[list[list[str]], list[list[str]]] = models.JSONField(_("choices"), default=list)
    asks_comment = models.BooleanField(_("asks for a comment"), default=False)
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)
    #: When the run stopped waiting without an answer.
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    #: Text of ``flowcontrol.state``: what the run is given.
    answer_json = models.TextField(_("answer"), blank=True, default="")

    objects = CallbackQuerySet.as_manager()

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        ordering = ["-id"]
        indexes = [models.Index(fields=["created_at"], name="flowcontrol_http_callback_age")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.step}"

    @property
    def event(self) -> str:
        """Name of the event that the run waits for."""
        return f"http.callback.{self.digest[:40]}"

    @classmethod
    def old(cls, now: datetime) -> models.QuerySet[Callback]:
        """Those to forget, of runs that ended or are gone: until then their links say what became of them."""
        live = _runs(cls).filter(pk=OuterRef("run_id"), ended_at=None)
        days = timedelta(days=conf.get("CALL_RETENTION_DAYS"))
        return cls.objects.filter(~Exists(live), created_at__lt=now - days).order_by("created_at")
