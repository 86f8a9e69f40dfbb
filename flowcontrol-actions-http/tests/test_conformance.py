"""What every pack is held to. See https://pypi.org/project/flowcontrol-core/."""

from flowcontrol.testing import PackConformance


class TestHttp(PackConformance):
    pack = "http"
    samples = {
        "http.request": [
            {"text": "plain"},
            {"text": "{{ run.id }} runs", "key": "told"},
        ]
    }
