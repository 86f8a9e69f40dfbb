"""DBOS: a workflow of ten steps, each persisted."""

from __future__ import annotations

import logging

from dbos import DBOS
from protocol import Figures, database, measured, serve


def url() -> str:
    entry = database()
    if entry["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{entry['NAME']}"
    return f"postgresql://{entry['USER']}@{entry['HOST']}:{entry['PORT']}/{entry['NAME']}"


@DBOS.step()
def nothing(number: int) -> int:
    return number


@DBOS.workflow()
def ten() -> int:
    return sum(nothing(number) for number in range(10))


class Dbos:
    def setup(self) -> None:
        """DBOS makes its tables when it is launched."""

    def begin(self) -> None:
        DBOS(
            config={
                "name": "bench",
                "system_database_url": url(),
                "run_admin_server": False,
                "log_level": "ERROR",
            }
        )
        DBOS.launch()
        logging.getLogger("dbos").setLevel(logging.ERROR)

    def one_by_one(self, size: int) -> Figures:
        answers: list[int] = []
        figures = measured(lambda: answers.extend(ten() for _ in range(size)), size)
        assert answers == [45] * size
        return figures


if __name__ == "__main__":
    serve(Dbos())
