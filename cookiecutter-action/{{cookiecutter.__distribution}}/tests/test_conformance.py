"""What every pack is held to. See https://pypi.org/project/flowcontrol-core/."""

from flowcontrol.testing import PackConformance


class Test{{ cookiecutter.pack_name.split('_')|map('capitalize')|join }}(PackConformance):
    pack = "{{ cookiecutter.pack_name }}"
    samples = {
        "{{ cookiecutter.pack_name }}.{{ cookiecutter.action_name }}": [
            {"text": "plain"},
            {"text": "{% raw %}{{ run.id }}{% endraw %} runs", "key": "told"},
        ]
    }
