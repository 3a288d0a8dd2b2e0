"""Passwords in addresses, kept out of every message."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

_USER_AND_PASSWORD = re.compile(r"://[^/?#:]*:(?P<password>.*)@", re.DOTALL)  # up to the last @: one may be unescaped
_SECRET_PARAMETER = re.compile(r"(?i)(?:pass|pwd|token|secret|key)[a-z_]*=(?P<password>[^&;]+)")


def masked(text: str, address: str) -> str:
    """The text with every password that the address holds written as `***`, however it is escaped."""
    if "://" not in address:
        return text
    for secret in sorted(_spellings(address), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _spellings(address: str) -> set[str]:
    found = [m["password"] for m in _USER_AND_PASSWORD.finditer(address)]
    found += [m["password"] for m in _SECRET_PARAMETER.finditer(unquote_plus(address))]
    found += [m["password"] for m in _SECRET_PARAMETER.finditer(address)]
    plain = {secret for raw in found for secret in (raw, unquote(raw), unquote_plus(raw))}
    return {way(secret) for secret in plain for way in (str, repr, quote, quote_plus)} - {"", "''"}
