"""Text in UTF-8 out of bytes in one of the usual encodings."""

from __future__ import annotations

import codecs
import re

from tasks.source._table import Unreadable

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before utf-16, whose mark is the start of this one
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
_SAMPLE = 1 << 20  # bytes or characters that are looked at


def utf8(data: bytes, encoding: str | None) -> tuple[bytes, str]:
    """The text in UTF-8 without a byte order mark, and the encoding it had.

    A ladder, not a statistical guess: on short Western text those name a new code page for every file. The price is
    that other 8-bit encodings (cp1251) must be named.

    Raises:
        Unreadable: the bytes are no text, or not in the encoding named.
    """
    found = encoding or _encoding(data)
    try:
        text = data if found == "utf-8" and encoding is None else data.decode(found).encode()
    except (LookupError, UnicodeError) as error:
        remedy = "leave it out to find out" if encoding else "the file may be cut short; or name another"
        raise Unreadable(f"can't be read with source.encoding={found} ({error}); {remedy}") from None
    if _is_binary(text):
        raise Unreadable("the bytes are no text; give CSV, TSV, JSON lines, Parquet or Feather" + _looks_like(data))
    return text.removeprefix(codecs.BOM_UTF8), found


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    zeros = [data[start:_SAMPLE:2].count(0) / (len(data[start:_SAMPLE:2]) or 1) for start in (0, 1)]
    if max(zeros) > 0.4 and min(zeros) < 0.1:  # Western text in UTF-16: every other byte is zero
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return next(encoding for encoding in ("utf-8", "cp1252", "latin-1") if _decodes(data, encoding))


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        return data.isascii() or bool(data.decode(encoding))
    except UnicodeDecodeError:
        return False


def _is_binary(text: bytes) -> bool:
    """More than one control character in a hundred: a stray one is dirt, random bytes hold one in ten."""
    sample = text[:_SAMPLE].decode(errors="ignore")
    return len(_CONTROL.findall(sample)) > len(sample) / 100


def _looks_like(data: bytes) -> str:
    if data.startswith(b"PK\x03\x04"):
        return " (this is a zip archive or a spreadsheet: save the sheet as CSV)"
    return " (this is an SQLite database: use source=sql)" if data.startswith(b"SQLite format 3") else ""
