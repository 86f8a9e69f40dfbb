"""What every pack is held to. See https://pypi.org/project/flowcontrol-core/."""

import pytest
from flowcontrol.testing import PackConformance
from webhook_world import project

__all__ = ["project"]


@pytest.mark.usefixtures("project")
class TestHttp(PackConformance):
    pack = "http"
    samples = {
        "http.respond": [
            {},
            {"status": 404, "text": "There is no {{ run.id }}."},
            {"json": {"run": "run.id"}, "headers": {"Cache-Control": "no-store"}},
        ],
        "http.wait_for_callback": [
            {},
            {
                "question": "Approve {{ run.id }}?",
                "choices": ["yes", "no"],
                "comment": True,
                "timeout_seconds": 60,
            },
            {"choices": {"yes": "Yes, do"}, "save_as": "answer", "url_as": "link"},
        ],
    }
