"""Passwords in a configuration: refused, since it is stored with the run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tasks.refusal import Refusal

# User and password before an @, however the password is written; or a parameter that is named like a secret.
PASSWORD_IN_URL = re.compile(
    r"://[^/?#:@\s]*:[^@\s]+@|[?&;](pass\w*|pwd|\w*token|\w*secret\w*|\w*key\w*|sig\w*)=[^&;\s]+", re.IGNORECASE
)
REFERENCE = re.compile(r"\$\{oc\.env:[^}]*\}")


def holds_password(text: str) -> bool:
    return bool(PASSWORD_IN_URL.search(REFERENCE.sub("", text)))


def refuse_passwords(keys: Iterable[str]) -> None:
    faults = [
        f"{key} holds a password. It would be stored with the run. Put the value into an environment variable and "
        f"write {key}='${{oc.env:NAME}}'; rotate the password if this was sent to a server."
        for key in keys
    ]
    if faults:
        raise Refusal(*faults)


def keys_with_password(value: Any, key: str = "") -> list[str]:
    """The dotted keys of all texts below a node that hold a password."""
    if isinstance(value, str):
        return [key] if holds_password(value) else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, item in items for found in keys_with_password(item, f"{key}.{name}".lstrip("."))]
