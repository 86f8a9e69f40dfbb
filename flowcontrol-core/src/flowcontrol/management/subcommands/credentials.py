"""``flowcontrol credentials``: which there are, whether they can be used, and keys; never what is in them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ... import vault
from ...documents import flows_by_credential
from ...exceptions import CredentialNotFound
from ...models import Credential, Flow
from ...suggestions import did_you_mean
from ..output import Console, counted, iso, table

__all__ = ["check", "listing", "new_key", "rotate"]


def listing(console: Console, options: Namespace) -> int:
    rows = _chosen(options.name)
    names = [row.name for row in rows]
    flows, others = flows_by_credential(names), vault.rows_by_credential(names)
    found = [_facts(row, flows.get(row.name, []), others.get(row.name, [])) for row in rows]
    if options.as_json:
        console.json(found)
    elif not found:
        console.line("There are no credentials. Add them in the admin.")
    else:
        console.lines(
            table(["CREDENTIAL", "KIND", "HOSTS", "SECRETS", "LAST CHANGED", "USED BY"], map(_row, found))
        )
    return 0


def check(console: Console, options: Namespace) -> int:
    """Whether this process could use each: its kind is here, its secrets can be decrypted, its variables are set."""
    told = [{"name": row.name, "problem": vault.problem_of(row)} for row in _chosen(options.name)]
    if options.as_json:
        console.json(told)
    else:
        for one in told:
            console.line(console.bad(one["problem"]) if one["problem"] else f"{one['name']}: fine")
        if not told:
            console.line("There are no credentials.")
    return int(any(one["problem"] for one in told))


def rotate(console: Console, options: Namespace) -> int:
    done = list(vault.rotate())
    failed = [one for one in done if one.problem]
    if options.as_json:
        console.json([asdict(one) for one in done])
        return int(bool(failed))
    changed = sum(one.is_changed for one in done)
    console.line(
        f"{counted(changed, 'credential')} encrypted anew under the first key, "
        f"{len(done) - changed - len(failed)} were already."
    )
    console.lines(console.bad(f"{one.name}: {one.problem}") for one in failed)
    if not failed:
        console.line(
            "The other keys are needed no more, once every process has been restarted with the first."
        )
    return int(bool(failed))


def new_key(console: Console, options: Namespace) -> int:
    key = vault.new_key()
    if options.as_json:
        console.json({"key": key})
    else:
        console.line(key)
        console.note(
            'Put it first into FLOWCONTROL["CREDENTIAL_KEYS"] or FLOWCONTROL_CREDENTIAL_KEYS of every process, keep it '
            "as you keep SECRET_KEY, and back it up: without it no credential can be read."
        )
    return 0


def _chosen(name: str) -> Sequence[Credential]:
    """All, or the one that was named. Raises ``CredentialNotFound``."""
    rows = list(Credential.objects.order_by("name"))
    if not name:
        return rows
    chosen = [row for row in rows if row.name == name]
    if not chosen:
        way_out = (
            did_you_mean(name, [row.name for row in rows]) or "manage.py flowcontrol credentials lists them."
        )
        raise CredentialNotFound(f'There is no credential "{name}". {way_out}')
    return chosen


def _facts(row: Credential, flows: Sequence[Flow], others: Sequence[vault.CountedRows]) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "hosts": row.hosts,
        "source": row.source,
        "variables": row.variables,
        "changed_at": iso(row.updated_at),
        "used_by": [*(flow.slug for flow in flows), *map(str, others)],
    }


def _row(told: Mapping[str, Any]) -> tuple[object, ...]:
    hosts, used = ", ".join(told["hosts"]), ", ".join(told["used_by"])
    return told["name"], told["kind"], hosts or "-", told["source"], told["changed_at"], used or "-"
