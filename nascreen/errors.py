"""Every error that nascreen raises on purpose.

    NascreenError
    ├── InputError (ValueError)     what a person typed cannot be used       422
    │   ├── FormulaError            formula text is not a formula            422
    │   ├── RangeError              a quantity is outside what is possible   422
    │   ├── TableError              a table of inputs cannot be read         422
    │   ├── UnknownNameError        nothing is stored under that name        404
    │   └── ConflictError           it contradicts what is stored            409
    ├── AccessError                 no valid token was given                 401
    │   └── ForbiddenError          the token does not allow this            403
    ├── BusyError                   too much is asked at once                429
    ├── IntegrityError              a shipped file is not the promised one   503
    ├── StoreError                  a store of campaigns cannot serve now    503
    └── MissingExtraError           an optional dependency is not installed  501

Each message is one sentence: what, got what, allowed what, what to do.
"""

from __future__ import annotations

SHOWN_LENGTH = 60


def shown(value: object) -> str:
    """Return ``value`` as it may be echoed in a message: quoted, printable and cut at 60 characters."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("ascii", "backslashreplace").decode()
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: 2 * SHOWN_LENGTH])
    return f"'{text}'" if len(text) <= SHOWN_LENGTH else f"'{text[: SHOWN_LENGTH - 3]}...'"


class NascreenError(Exception):
    """Base of every error raised on purpose; `status` is the HTTP status that a service answers with."""

    status = 500


class InputError(NascreenError, ValueError):
    """A person's input cannot be used."""

    status = 422


class FormulaError(InputError):
    """The text is not a chemical formula that can be used."""


class RangeError(InputError):
    """A quantity lies outside what is physically possible or supported."""


class TableError(InputError):
    """A table of inputs cannot be read."""


class UnknownNameError(InputError):
    """Nothing is stored under the given name or number."""

    status = 404


class ConflictError(InputError):
    """The input contradicts what is already stored, which stays as it is."""

    status = 409


class AccessError(NascreenError):
    """A request to the service came without a valid token."""

    status = 401


class ForbiddenError(AccessError):
    """The token does not allow what was asked."""

    status = 403


class BusyError(NascreenError):
    """The service has too much to do now; the same request may succeed in a moment."""

    status = 429


class IntegrityError(NascreenError):
    """A shipped data or model file differs from its record."""

    status = 503


class StoreError(NascreenError):
    """A store of campaigns cannot be read or written now; nothing was changed."""

    status = 503


class MissingExtraError(NascreenError):
    """A command needs packages that are not installed."""

    status = 501
