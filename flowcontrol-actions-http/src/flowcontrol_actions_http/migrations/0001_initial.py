import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import flowcontrol_actions_http.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("flowcontrol", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.SlugField(
                        help_text="Flows listen for it: endpoint == 'name'.",
                        max_length=100,
                        unique=True,
                        verbose_name="name",
                    ),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Who calls it, and why. For people.",
                        max_length=200,
                        verbose_name="note",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="While it is not, callers are answered as if there were no such URL.",
                        verbose_name="active",
                    ),
                ),
                (
                    "token",
                    models.CharField(
                        default=flowcontrol_actions_http.models.new_token,
                        editable=False,
                        max_length=64,
                        verbose_name="token",
                    ),
                ),
                (
                    "token_digest",
                    models.CharField(
                        editable=False, max_length=64, unique=True, verbose_name="digest of the token"
                    ),
                ),
                (
                    "style",
                    models.CharField(
                        choices=[
                            ("standard", "Standard Webhooks (webhook-signature)"),
                            ("github", "GitHub (X-Hub-Signature-256)"),
                            ("stripe", "Stripe (Stripe-Signature)"),
                            ("basic", "User name and password"),
                            ("none", "Nothing: whoever knows the URL"),
                        ],
                        default="standard",
                        max_length=10,
                        verbose_name="how calls are verified",
                    ),
                ),
                (
                    "credential",
                    models.ForeignKey(
                        blank=True,
                        db_column="credential",
                        db_constraint=False,
                        help_text="Holds the secret that the sender has, too.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="flowcontrol.credential",
                        to_field="name",
                        verbose_name="credential",
                    ),
                ),
                (
                    "body",
                    models.CharField(
                        choices=[("json", "JSON"), ("form", "Form"), ("raw", "Text")],
                        default="json",
                        max_length=10,
                        verbose_name="body",
                    ),
                ),
                (
                    "kept_headers",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Names of headers that flows may read beside the usual ones, with spaces between them.",
                        max_length=500,
                        verbose_name="headers to keep",
                    ),
                ),
                (
                    "calls_per_minute",
                    models.PositiveIntegerField(
                        default=600,
                        help_text="More are answered with 429, “too many requests”.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100000),
                        ],
                        verbose_name="calls per minute",
                    ),
                ),
                (
                    "wait_seconds",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="So many seconds a caller waits at most for what a step http.respond answers; 0: not at all. Each waiting caller occupies a thread of the web server.",
                        validators=[django.core.validators.MaxValueValidator(25)],
                        verbose_name="wait for a reply",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
            ],
            options={
                "verbose_name": "webhook endpoint",
                "verbose_name_plural": "webhook endpoints",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Callback",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("step", models.CharField(max_length=64, verbose_name="step")),
                ("visit", models.CharField(max_length=200, verbose_name="visit")),
                ("digest", models.CharField(max_length=64, unique=True, verbose_name="digest of the token")),
                (
                    "question",
                    models.CharField(blank=True, default="", max_length=500, verbose_name="question"),
                ),
                ("text", models.TextField(blank=True, default="", verbose_name="text")),
                ("choices", models.JSONField(default=list, verbose_name="choices")),
                ("asks_comment", models.BooleanField(default=False, verbose_name="asks for a comment")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
                ("used_at", models.DateTimeField(blank=True, null=True, verbose_name="used at")),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="closed at")),
                ("answer_json", models.TextField(blank=True, default="", verbose_name="answer")),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flowcontrol.flowrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "callback",
                "verbose_name_plural": "callbacks",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["created_at"], name="flowcontrol_http_callback_age")],
            },
        ),
        migrations.CreateModel(
            name="Call",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("received_at", models.DateTimeField(verbose_name="received at")),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("accepted", "accepted"),
                            ("repeated", "came before"),
                            ("refused", "refused"),
                            ("unverified", "not verified"),
                        ],
                        max_length=10,
                        verbose_name="outcome",
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=300, verbose_name="reason")),
                (
                    "message_id",
                    models.CharField(
                        blank=True, default="", max_length=255, verbose_name="id of the message"
                    ),
                ),
                ("runs", models.JSONField(default=list, verbose_name="runs")),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calls",
                        to="flowcontrol_actions_http.endpoint",
                        verbose_name="endpoint",
                    ),
                ),
            ],
            options={
                "verbose_name": "call",
                "verbose_name_plural": "calls",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["endpoint", "received_at"], name="flowcontrol_http_call"),
                    models.Index(fields=["received_at"], name="flowcontrol_http_call_age"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Reply",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("status", models.PositiveSmallIntegerField(default=200, verbose_name="status")),
                ("headers", models.JSONField(default=dict, verbose_name="headers")),
                ("body", models.TextField(blank=True, default="", verbose_name="body")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "run",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flowcontrol.flowrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "reply",
                "verbose_name_plural": "replies",
                "indexes": [models.Index(fields=["created_at"], name="flowcontrol_http_reply_age")],
            },
        ),
    ]
