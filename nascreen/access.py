"""Tokens of the service: made by command, kept as hashes, limited in scope and time, gone at once when revoked.

A token is ``nas_`` and 256 random bits. Its file holds the SHA-256 alone, so that nobody who reads the file can use
it; a stretched hash would add nothing to 256 bits. The service looks at the file on every request.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nascreen.datasets import user_folder
from nascreen.errors import (
    AccessError,
    ForbiddenError,
    IntegrityError,
    RangeError,
    StoreError,
    UnknownNameError,
    shown,
)

SCOPES = ("read", "predict", "campaign")
"""What a token may allow: reading the data; predicting and ranking; asking and telling campaigns."""

PREFIX = "nas_"
DEFAULT_DAYS = 30
MOST_DAYS = 366
_LABEL_LIMIT = 100
_CAMPAIGN = re.compile(r"campaign:[a-z0-9][a-z0-9_-]{0,63}")
_TOKEN = re.compile(r"nas_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Attributes:
        id: Short name, for lists, logs and revoking.
        label: Whose it is.
        sha256: Hash of the token.
        scopes: Some of `SCOPES`, or ``campaign:NAME`` for one campaign.
        made: When it was made, in UTC.
        expires: When it ends, in UTC.
        revoked: When it was revoked, in UTC; empty while it holds.
    """

    id: str
    label: str
    sha256: str
    scopes: tuple[str, ...]
    made: str
    expires: str
    revoked: str = ""

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor expired."""
        return not self.revoked and now < datetime.fromisoformat(self.expires)

    def allows(self, scope: str, campaign: str = "") -> bool:
        """Return whether it allows a scope; for one campaign where that is named."""
        return scope in self.scopes or (bool(campaign) and f"{scope}:{campaign}" in self.scopes)


def token_file(home: Path | None = None) -> Path:
    """Return the file of the tokens, in the user's own folder."""
    return (home or user_folder()) / "tokens.json"


class Tokens:
    """The tokens of one file.

    >>> import tempfile
    >>> tokens = Tokens(Path(tempfile.mkdtemp()) / "tokens.json")
    >>> text, token = tokens.make("Anna", ["read", "predict"])
    >>> tokens.check(text, "predict").label
    'Anna'
    """

    def __init__(self, path: Path) -> None:
        """Open a file of tokens, which need not exist."""
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._by_hash: dict[str, Token] = {}

    def make(self, label: str, scopes: Sequence[str], days: float = DEFAULT_DAYS) -> tuple[str, Token]:
        """Make a token.

        Args:
            label: Whose it is.
            scopes: Some of `SCOPES`, or ``campaign:NAME``.
            days: How long it holds, up to a year.

        Returns:
            The token, which is kept nowhere, and what is kept of it.

        Raises:
            RangeError: If a scope, the label or the time is not allowed.
            StoreError: If the file cannot be written.
        """
        _check_new(label, scopes, days)
        text = PREFIX + secrets.token_hex(32)
        now = datetime.now(UTC).replace(microsecond=0)
        with self._writing() as tokens:
            token = Token(
                secrets.token_hex(4), label, _hash(text), tuple(dict.fromkeys(scopes)), now.isoformat(),
                (now + timedelta(days=days)).isoformat(),
            )  # fmt: skip
            tokens.append(token)
        return text, token

    def revoke(self, token_id: str) -> Token:
        """Revoke a token by its id; from now on it is refused.

        Raises:
            UnknownNameError: If there is none of this id.
        """
        with self._writing() as tokens:
            for place, token in enumerate(tokens):
                if token.id == token_id:
                    now = datetime.now(UTC).replace(microsecond=0).isoformat()
                    tokens[place] = Token(**{**asdict(token), "scopes": token.scopes, "revoked": token.revoked or now})
                    return tokens[place]
            raise UnknownNameError(f"There is no token {shown(token_id)}; see: nascreen token list")

    def all(self) -> tuple[Token, ...]:
        """Return every token, revoked and expired ones too."""
        self._refresh()
        return tuple(self._by_hash.values())

    def check(self, text: str, scope: str, campaign: str = "") -> Token:
        """Return the token if it holds and allows a scope.

        Raises:
            AccessError: If it is unknown, expired or revoked.
            ForbiddenError: If it does not allow this.
        """
        found = self.check_any(text)
        if not found.allows(scope, campaign):
            what = f"the campaign {campaign}" if campaign else f"the scope {scope}"
            raise ForbiddenError(f"The token {found.id} does not allow {what}; it allows {', '.join(found.scopes)}.")
        return found

    def check_any(self, text: str) -> Token:
        """Return the token if it holds, whatever it allows.

        Raises:
            AccessError: If it is unknown, expired or revoked.
        """
        self._refresh()
        digest = _hash(text) if _TOKEN.fullmatch(text) else ""
        found = self._by_hash.get(digest)
        if found is None or not hmac.compare_digest(found.sha256, digest) or not found.is_valid(datetime.now(UTC)):
            raise AccessError("The token is unknown, expired or revoked; make one with: nascreen token new")
        return found

    def has_valid(self) -> bool:
        """Return whether any token holds now."""
        now = datetime.now(UTC)
        return any(token.is_valid(now) for token in self.all())

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._by_hash = None, {}
            return
        except OSError as error:
            raise StoreError(f"The tokens in {shown(str(self.path))} cannot be read ({error.strerror}).") from error
        seen = status.st_mtime_ns, status.st_ino, status.st_size
        if seen != self._seen:
            self._by_hash = {token.sha256: token for token in self._read()}
            self._seen = seen

    def _read(self) -> list[Token]:
        try:
            listed = json.loads(self.path.read_text(encoding="utf-8"))["tokens"]
            return [Token(**{**one, "scopes": tuple(one["scopes"])}) for one in listed]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"The tokens in {shown(str(self.path))} cannot be read ({type(error).__name__}); delete the file, "
                "which revokes all, and make new ones."
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[list[Token]]:
        """Yield the tokens for changes; they are written whole, by one process at a time, or not at all."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                tokens = self._read()
                yield tokens
                self._write(tokens)
        except OSError as error:
            raise StoreError(f"The tokens in {shown(str(self.path))} cannot be written ({error.strerror}).") from error

    def _write(self, tokens: Sequence[Token]) -> None:
        part = self.path.with_suffix(".part")
        descriptor = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"tokens": [asdict(token) for token in tokens]}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check_new(label: str, scopes: Sequence[str], days: float) -> None:
    if not label or len(label) > _LABEL_LIMIT or not label.isprintable():
        raise RangeError(f"The label is {shown(label)}; give a name of 1 to {_LABEL_LIMIT} characters.")
    wrong = [scope for scope in scopes if scope not in SCOPES and not _CAMPAIGN.fullmatch(scope)]
    if wrong or not scopes:
        got = shown(wrong[0]) if wrong else "none"
        raise RangeError(f"The scope of a token is {got}; allowed are {', '.join(SCOPES)} and campaign:NAME.")
    if not 0 < days <= MOST_DAYS:
        raise RangeError(f"A token is to hold {days:g} days; allowed is above 0 and up to {MOST_DAYS}.")
