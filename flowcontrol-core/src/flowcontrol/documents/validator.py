"""Documents checked against what is there: the examination, and a query each for the flows and credentials named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..exceptions import DocumentError, Problem
from ..models import Credential, Flow
from .validation import CredentialReference, Finding, FlowReference, examine, problems_among

__all__ = ["require_valid", "validate", "validate_together"]


def validate(document: object, *, known_flows: Collection[str] | None = None) -> list[Problem]:
    """Every problem of a document at once, in its order; empty when it can be imported. Never raises.

    Flows that its steps name have to exist: be the flow itself, among ``known_flows`` or, without these, in
    the database, which is asked once at most; and once for credentials, if its steps name some.
    """
    findings = examine(document)
    own = (
        {document["slug"]} if isinstance(document, dict) and isinstance(document.get("slug"), str) else set()
    )
    flows = own | set(_existing([findings], own) if known_flows is None else known_flows)
    return problems_among(findings, flows, _credentials([findings]))


def validate_together(documents: Sequence[object]) -> list[list[Problem]]:
    """The problems of each of several documents that are imported together, and so may name each other."""
    slugs = [document.get("slug") if isinstance(document, dict) else None for document in documents]
    own = {slug for slug in slugs if isinstance(slug, str)}
    findings = [examine(document) for document in documents]
    known = own | _existing(findings, own)
    credentials = _credentials(findings)
    problems = [problems_among(one, known, credentials) for one in findings]
    for index, slug in enumerate(slugs):
        if isinstance(slug, str) and slug in slugs[:index]:
            problems[index].insert(
                0, Problem("slug", f"Another document here has the slug “{slug}” too; change one.", slug)
            )
    return problems


def require_valid(documents: Sequence[object]) -> None:
    """Raises ``DocumentError`` with the problems of all documents, if one of them is an error.

    Among several documents each path begins with the slug of its own.
    """
    each = validate_together(documents)
    if not any(problem.level == "error" for problems in each for problem in problems):
        return
    if len(documents) == 1:
        raise DocumentError(each[0], source=f"The document {_called(documents[0], 0)}".rstrip())
    raise DocumentError(
        [
            Problem(
                f"{_called(document, index)}: {problem.path}".rstrip(": "),
                problem.message,
                problem.value,
                problem.level,
            )
            for index, (document, problems) in enumerate(zip(documents, each, strict=True))
            for problem in problems
        ],
        source=f"The import of {len(documents)} documents",
    )


def _called(document: object, index: int) -> str:
    slug = document.get("slug") if isinstance(document, dict) else None
    return f"“{slug}”" if isinstance(slug, str) else f"number {index + 1}"


def _existing(findings: Sequence[Sequence[Finding]], own: Collection[str]) -> set[str]:
    """Those of the flows named, besides ``own``, that are in the database."""
    named = {one.slug for each in findings for one in each if isinstance(one, FlowReference)} - set(own)
    return set(Flow.objects.filter(slug__in=named).values_list("slug", flat=True)) if named else set()


def _credentials(findings: Sequence[Sequence[Finding]]) -> Mapping[str, str]:
    """All that there are, with their kinds, if some are named: those are what to suggest in place of a wrong one."""
    if any(isinstance(one, CredentialReference) for each in findings for one in each):
        return dict(Credential.objects.values_list("name", "kind"))
    return {}
