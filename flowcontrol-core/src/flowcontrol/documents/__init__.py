"""Flows as documents: read, checked, normalised, compiled, compared, and stored as flows and versions."""

from .compiler import compile_document
from .diff import Change, diff
from .exporter import export_flow
from .importer import ImportResult, import_flow, import_flows
from .jsonschema import json_schema
from .normalise import normalise
from .publisher import DraftConflict, publish, save_draft
from .validator import validate, validate_together
from .yaml import parse_yaml, to_yaml

__all__ = [
    "Change",
    "DraftConflict",
    "ImportResult",
    "compile_document",
    "diff",
    "export_flow",
    "import_flow",
    "import_flows",
    "json_schema",
    "normalise",
    "parse_yaml",
    "publish",
    "save_draft",
    "to_yaml",
    "validate",
    "validate_together",
]
