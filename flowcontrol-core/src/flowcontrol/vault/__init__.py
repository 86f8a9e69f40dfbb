"""Where credentials are kept: sealed under keys of their own, and opened only where they are used.

Nothing that starts up imports this, nor ``cryptography``.
"""

from .reading import get_credential, open_credential
from .rotation import Rotated, rotate
from .seals import new_key
from .writing import save_credential, store

__all__ = ["Rotated", "get_credential", "new_key", "open_credential", "rotate", "save_credential", "store"]
