"""Encrypts secret columns of undo records with the keys of SESSION_CLEANUP_UNDO_KEYS."""

from functools import lru_cache
from typing import Any

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError


class Sealed(Exception):
    """None of the keys opens this value."""


def has_keys() -> bool:
    return bool(conf.UNDO_KEYS)


def check_keys() -> None:
    """Raise ConfigurationError where there are keys that cannot be used."""
    if has_keys():
        _fernet(tuple(conf.UNDO_KEYS))


def seal(text: str) -> str:
    """Encrypt with the first key."""
    return _fernet(tuple(conf.UNDO_KEYS)).encrypt(text.encode("utf-8", "surrogatepass")).decode()  # type: ignore[no-any-return]


def unseal(token: str) -> str:
    """Decrypt with whichever key fits; raises Sealed if none does."""
    if not has_keys():
        raise Sealed
    from cryptography.fernet import InvalidToken

    try:
        return _fernet(tuple(conf.UNDO_KEYS)).decrypt(token).decode("utf-8", "surrogatepass")  # type: ignore[no-any-return]
    except InvalidToken:
        raise Sealed from None


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> Any:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError:
        raise ConfigurationError(
            "SESSION_CLEANUP_UNDO_KEYS is set, but the package cryptography is not installed. Install "
            "session-cleanup[undo-keys], or remove the setting."
        ) from None
    made = []
    for number, key in enumerate(keys, 1):
        try:
            made.append(Fernet(key))
        except ValueError:
            raise ConfigurationError(
                f"Key {number} of SESSION_CLEANUP_UNDO_KEYS is no key. Make one with: python -c "
                '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
            ) from None
    return MultiFernet(made)
