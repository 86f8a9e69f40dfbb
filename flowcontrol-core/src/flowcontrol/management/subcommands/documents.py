"""``flowcontrol schema``, ``validate``, ``import``, ``export`` and ``diff``: flows as files."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ... import documents as flow_documents
from ...exceptions import DocumentError, FlowNotFound, Problem
from ...models import Flow
from ...suggestions import did_you_mean
from ..output import Console, counted

__all__ = ["diff", "export", "import_", "schema", "validate"]


@dataclass(frozen=True)
class _File:
    """A file, and its documents or what keeps them from being read."""

    name: str
    documents: tuple[dict[str, Any], ...] = ()
    problems: tuple[Problem, ...] = ()


def schema(console: Console, options: Namespace) -> int:
    console.json(flow_documents.json_schema())
    return 0


def validate(console: Console, options: Namespace) -> int:
    files = [_read(name) for name in options.files]
    # Together, because they may name each other, as they may when they are imported together.
    each = iter(flow_documents.validate_together([document for file in files for document in file.documents]))
    found: list[dict[str, Any]] = []
    for file in files:
        if file.problems:
            found.append(_answer(file, "", file.problems))
        found += [_answer(file, document.get("slug"), next(each)) for document in file.documents]
    if options.as_json:
        console.json(found)
    else:
        for answer in found:
            _tell(console, answer)
    return 0 if all(answer["is_valid"] for answer in found) else 1


def _answer(file: _File, slug: object, problems: Iterable[Problem]) -> dict[str, Any]:
    told = [asdict(problem) for problem in problems]
    return {
        "file": file.name,
        "slug": slug if isinstance(slug, str) else "",
        "is_valid": not any(problem["level"] == "error" for problem in told),
        "problems": told,
    }


def _tell(console: Console, answer: Mapping[str, Any]) -> None:
    what = ": ".join(part for part in (answer["file"], answer["slug"]) if part)
    if not answer["problems"]:
        console.line(f"{what}: {console.good('valid')}")
        return
    count = counted(len(answer["problems"]), "problem")
    console.line(f"{what}: {'valid, with ' + count if answer['is_valid'] else console.bad(count)}")
    for problem in answer["problems"]:
        level = "" if problem["level"] == "error" else f"{problem['level']}: "
        console.line(f"  {problem['path'] or 'the document'}: {level}{problem['message']}")


def import_(console: Console, options: Namespace) -> int:
    files = [_readable(name) for name in options.files]
    documents = [document for file in files for document in file.documents]
    if not documents:
        raise CommandError(f"There is no document in {', '.join(options.files)}; nothing was stored.")
    results = flow_documents.import_flows(documents, publish=not options.draft)
    if options.as_json:
        console.json([_result(result) for result in results])
    else:
        for result in results:
            console.line(f"{result.flow.slug}: {_outcome(result, options.draft)}")
    return 0


def _result(result: flow_documents.ImportResult) -> dict[str, Any]:
    return {
        "slug": result.flow.slug,
        "version": result.flow.published.number if result.flow.published else None,
        "is_new": result.is_new,
        "is_changed": result.is_changed,
        "is_published": result.version is not None,
    }


def _outcome(result: flow_documents.ImportResult, draft: bool) -> str:
    if not result.is_changed and not result.is_new:
        return "unchanged"
    stored = "new" if result.is_new else "changed"
    if result.version is not None:
        return f"{stored}, version {result.version.number} published"
    return f"{stored}, draft only" if draft else stored


def export(console: Console, options: Namespace) -> int:
    flows = _flows(options.slugs)
    documents = [flow_documents.export_flow(flow) for flow in flows]
    if options.as_json:
        console.json(documents)
    else:
        console.stdout.write(
            "---\n".join(flow_documents.to_yaml(document) for document in documents), ending=""
        )
    return 0


def _flows(slugs: list[str]) -> list[Flow]:
    flows = Flow.objects.with_published().order_by("slug")
    if not slugs:
        return list(flows)
    found = {flow.slug: flow for flow in flows.filter(slug__in=slugs)}
    for slug in slugs:
        if slug not in found:
            suggestion = did_you_mean(slug, Flow.objects.values_list("slug", flat=True))
            raise FlowNotFound(f"There is no flow “{slug}”. {suggestion}".rstrip())
    return [found[slug] for slug in dict.fromkeys(slugs)]


def diff(console: Console, options: Namespace) -> int:
    documents = _readable(options.file).documents
    stored = Flow.objects.with_published().in_bulk(
        [document["slug"] for document in documents if isinstance(document.get("slug"), str)],
        field_name="slug",
    )
    found = [_compared(document, stored.get(str(document.get("slug")))) for document in documents]
    if options.as_json:
        console.json([_difference(*each) for each in found])
    else:
        for slug, is_stored, changes in found:
            told = f"{slug}: {_verdict(is_stored, changes)}"
            console.lines([told, *(f"  {change}" for change in changes)])
    return 1 if any(changes or not is_stored for _, is_stored, changes in found) else 0


def _compared(document: dict[str, Any], flow: Flow | None) -> tuple[str, bool, list[flow_documents.Change]]:
    new = flow_documents.normalise(document)
    if flow is None:
        return new["slug"], False, []
    old = flow_documents.export_flow(flow)
    for key in ("active", "triggers"):
        # What a document leaves out, an import leaves as it is.
        if document.get(key) is None and key in old:
            new[key] = old[key]
    return new["slug"], True, flow_documents.diff(old, new)


def _verdict(is_stored: bool, changes: list[flow_documents.Change]) -> str:
    if not is_stored:
        return "is not stored"
    return counted(len(changes), "difference") if changes else "no difference"


def _difference(slug: str, is_stored: bool, changes: list[flow_documents.Change]) -> dict[str, Any]:
    return {"slug": slug, "is_stored": is_stored, "changes": [asdict(change) for change in changes]}


def _readable(name: str) -> _File:
    """The file; raises ``DocumentError`` when it is not even YAML."""
    file = _read(name)
    if file.problems:
        raise DocumentError(file.problems, source=file.name)
    return file


def _read(name: str) -> _File:
    shown = "standard input" if name == "-" else name
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{shown} cannot be read: {error.strerror or error}.", returncode=2) from error
    try:
        return _File(shown, tuple(flow_documents.parse_yaml(content)))
    except DocumentError as error:
        return _File(shown, problems=error.problems)
