"""What every pack is held to. See https://pypi.org/project/flowcontrol-core/."""

from flowcontrol.testing import PackConformance


class TestRelay(PackConformance):
    pack = "relay"
    samples = {
        "relay.compose": [
            {"text": "plain"},
            {"text": "{{ run.id }} runs", "key": "told"},
        ]
    }
