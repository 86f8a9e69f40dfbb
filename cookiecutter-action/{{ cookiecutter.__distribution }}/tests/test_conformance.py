"""What flowcontrol asks of every pack. A test may be overridden as an expected failure only, with a reason."""

from __future__ import annotations

from typing import Any, ClassVar

from flowcontrol.testing import PackConformance


class Test{{ cookiecutter.__pack|replace("_", " ")|title|replace(" ", "") }}(PackConformance):
    pack = "{{ cookiecutter.__pack }}"
    #: Configurations to try each action with.
    samples: ClassVar[dict[str, list[dict[str, Any]]]] = {
        "{{ cookiecutter.__pack }}.{{ cookiecutter.__action }}": [
            {"text": "Hello"},
            {"text": "Hello", "save_as": "note"},
        ],
    }
