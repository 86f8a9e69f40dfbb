"""Flows as documents: read, check, normalise, compile and compare them, and store them as flows and versions."""

from typing import TYPE_CHECKING

from ..lazy import exports

if TYPE_CHECKING:
    from .comparison import Change, diff
    from .compiler import compile_document
    from .credentials import credentials_of_step, flows_by_credential
    from .exporter import draft_of, export_flow
    from .importer import ImportResult, import_flow, import_flows
    from .jsonschema import json_schema
    from .normal_form import normalise, walk
    from .publisher import DraftConflict, check_draft, is_same, publish, save_draft
    from .validator import validate, validate_together
    from .yaml import parse_yaml, to_yaml
else:
    __getattr__ = exports(
        __name__,
        {
            "compiler": ["compile_document"],
            "comparison": ["Change", "diff"],
            "credentials": ["credentials_of_step", "flows_by_credential"],
            "exporter": ["draft_of", "export_flow"],
            "importer": ["ImportResult", "import_flow", "import_flows"],
            "jsonschema": ["json_schema"],
            "normal_form": ["normalise", "walk"],
            "publisher": ["DraftConflict", "check_draft", "is_same", "publish", "save_draft"],
            "validator": ["validate", "validate_together"],
            "yaml": ["parse_yaml", "to_yaml"],
        },
    )

__all__ = [
    "Change",
    "DraftConflict",
    "ImportResult",
    "check_draft",
    "compile_document",
    "credentials_of_step",
    "diff",
    "draft_of",
    "export_flow",
    "flows_by_credential",
    "import_flow",
    "import_flows",
    "is_same",
    "json_schema",
    "normalise",
    "parse_yaml",
    "publish",
    "save_draft",
    "to_yaml",
    "validate",
    "validate_together",
    "walk",
]
