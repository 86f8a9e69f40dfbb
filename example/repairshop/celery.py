"""The shop's Celery app, as Celery's guide for Django has it. Only ``demo --scheduler celery`` uses it."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "repairshop.settings")

app = Celery("repairshop")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Nothing of an earlier demonstration is taken for this one's.
app.conf.task_default_queue = f"repairshop-{os.environ.get('REPAIRSHOP_SECRET_KEY', '')[:8]}"
app.conf.broker_connection_retry_on_startup = True
app.autodiscover_tasks()
