"""The values a run's state can hold, as text: JSON plus dates, decimals, UUIDs and references to model objects.

What a step put in is what a later step reads: each type has a tag (``{"$date": "2026-01-31"}``), the order of keys is
kept, and everything else is refused where it is put in. The text is plain ASCII, so that every database stores it.
"""

from .decoding import decode
from .encoding import MAX_DEPTH, encode
from .mapping import State
from .references import ModelReference

__all__ = ["MAX_DEPTH", "ModelReference", "State", "decode", "encode"]
