"""Where credentials are kept: sealed under keys of their own, and opened only where they are used.

Nothing that starts up imports more than this, and none of it imports ``cryptography``. Functions that have secrets in
their variables are marked, so that Django's reports of errors leave those out.
"""

from typing import TYPE_CHECKING

from ..lazy import exports

if TYPE_CHECKING:
    from .reading import get_credential, open_credential, stored_secrets, variable_problem
    from .rotation import Rotated, rotate
    from .seals import new_key
    from .state import problem_of, seal_problems
    from .uses import CountedRows, rows_by_credential
    from .writing import save_credential, stand_ins, store
else:
    __getattr__ = exports(
        __name__,
        {
            "reading": ["get_credential", "open_credential", "stored_secrets", "variable_problem"],
            "rotation": ["Rotated", "rotate"],
            "seals": ["new_key"],
            "state": ["problem_of", "seal_problems"],
            "uses": ["CountedRows", "rows_by_credential"],
            "writing": ["save_credential", "stand_ins", "store"],
        },
    )

__all__ = [
    "CountedRows",
    "Rotated",
    "get_credential",
    "new_key",
    "open_credential",
    "problem_of",
    "rotate",
    "rows_by_credential",
    "save_credential",
    "seal_problems",
    "stand_ins",
    "store",
    "stored_secrets",
    "variable_problem",
]
