"""Triggers in the database that write down each change of a lease, whoever makes it."""

from __future__ import annotations

from django.db import connection

__all__ = ["watch"]

_COLUMNS = "(run, old_token, new_token, old_due_at, changed_at)"

_POSTGRESQL = f"""
CREATE FUNCTION faultapp_claimed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faultapp_claim {_COLUMNS}
    VALUES (new.id, old.token, new.token, old.due_at, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER faultapp_claimed AFTER UPDATE OF token ON flowcontrol_flowrun
FOR EACH ROW WHEN (old.token <> new.token) EXECUTE FUNCTION faultapp_claimed()
"""

_SQLITE = f"""
CREATE TRIGGER faultapp_claimed AFTER UPDATE OF token ON flowcontrol_flowrun WHEN old.token <> new.token
BEGIN
    INSERT INTO faultapp_claim {_COLUMNS}
    VALUES (new.id, old.token, new.token, old.due_at, strftime('%Y-%m-%d %H:%M:%f', 'now'));
END
"""

_MARIADB = f"""
CREATE TRIGGER faultapp_claimed AFTER UPDATE ON flowcontrol_flowrun FOR EACH ROW
BEGIN
    IF old.token <> new.token THEN
        INSERT INTO faultapp_claim {_COLUMNS}
        VALUES (new.id, old.token, new.token, old.due_at, UTC_TIMESTAMP(6));
    END IF;
END
"""


def watch() -> None:
    sql = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE, "mysql": _MARIADB}[connection.vendor]
    with connection.cursor() as cursor:
        # Without parameters, so that nothing takes the per cent signs for places.
        cursor.execute(sql)
