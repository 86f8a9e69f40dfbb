"""Compiled flows, one per version and process."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict

from ..documents.compiler import compile_document
from ..documents.program import Program
from ..models import FlowVersion
from ..registry import MissingAction

__all__ = ["for_version", "load"]

#: Versions kept. A version's id never comes again, so an entry cannot grow stale.
_KEPT = 256

_programs: OrderedDict[uuid.UUID, Program] = OrderedDict()
_lock = threading.Lock()


def load(version_id: uuid.UUID) -> Program:
    """The program of a version: one query the first time, none afterwards."""
    program = _programs.get(version_id)
    return for_version(FlowVersion.objects.get(pk=version_id)) if program is None else program


def for_version(version: FlowVersion) -> Program:
    """The program of a version that was read already: no query."""
    program = _programs.get(version.pk)
    if program is not None:
        return program
    program = compile_document(version.document)
    # A missing action may be registered later in this process, so a program with one is compiled anew.
    if not any(isinstance(node.action, MissingAction) for node in program.nodes):
        with _lock:
            _programs[version.pk] = program
            while len(_programs) > _KEPT:
                _programs.popitem(last=False)
    return program
