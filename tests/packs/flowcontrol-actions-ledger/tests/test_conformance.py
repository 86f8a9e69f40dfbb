"""What every pack is held to. See https://pypi.org/project/flowcontrol-core/."""

from flowcontrol.testing import PackConformance


class TestLedger(PackConformance):
    pack = "ledger"
    samples = {
        "ledger.book": [
            {"text": "plain"},
            {"text": "{{ run.id }} runs", "key": "told"},
        ]
    }
