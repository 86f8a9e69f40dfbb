"""Settings of the tests. Plugins are those that are installed, as in a project that says nothing about them."""

from __future__ import annotations

from importlib.util import find_spec

from flowcontrol.plugins import plugin_apps

from flowcontrol_tests.databases import chosen

SECRET_KEY = "for tests only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
# Not UTC, and with summer time: a test that mixes up zones fails.
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": chosen().settings()}
# The passwords of the tests are no secrets; hashing them well takes longer than most tests.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "flowcontrol",
    "testapp",
    *plugin_apps(),
    # Tests of flowcontrol-django-tasks need a backend with workers. Nothing else has it installed.
    *(name for name in ("django_tasks", "django_tasks_db") if find_spec(name)),
]
# Tables that are no concern of ours: made at once, and not in twenty steps.
MIGRATION_MODULES = {"django_tasks_database": None}
if find_spec("django_tasks_db"):
    _of_django = "django.tasks" if find_spec("django.tasks") else "django_tasks"
    TASKS = {
        "default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []},
        "few": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]},
        "immediate": {"BACKEND": f"{_of_django}.backends.immediate.ImmediateBackend", "QUEUES": []},
        "dummy": {"BACKEND": f"{_of_django}.backends.dummy.DummyBackend", "QUEUES": []},
    }
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "flowcontrol_tests.urls"
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

#: Django 6.1 wants to be told; earlier ones do not look.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
