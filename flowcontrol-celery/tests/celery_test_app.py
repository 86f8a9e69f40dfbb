"""The Celery apps of the tests, one for each broker: in the test's process, and with ``-A`` in its workers."""

from __future__ import annotations

import os

from celery import Celery
from flowcontrol_celery import beat_schedule
from flowcontrol_tests.brokers import BROKERS

#: Each test process has queues of its own.
QUEUE = os.environ.setdefault("CELERY_TEST_QUEUE", f"flowcontrol-test-{os.getpid()}")


def make(url: str) -> Celery:
    app = Celery("flowcontrol-tests", broker=url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 600} if url.startswith("redis") else {},
        worker_prefetch_multiplier=1,
        beat_schedule=beat_schedule(0.5),
        beat_max_loop_interval=0.5,
    )
    app.autodiscover_tasks()
    return app


rabbitmq, redis = (make(os.environ.get("CELERY_TEST_BROKER") or broker.url) for broker in BROKERS)
