"""The bytes at a path or URL, decompressed."""

from __future__ import annotations

import posixpath
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations

from tasks.refusal import did_you_mean
from tasks.source._table import NoRows, Unreadable

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # by first bytes: suffixes lie after a download
N_FIRST_BYTES = 8


def fetch(path: str) -> pa.NativeFile:
    """What stands at a local path or any fsspec URL, without its gzip or zstd wrapping, at its beginning.

    A local file that isn't wrapped stays on the disk; all else is in memory.

    Raises:
        Unreadable: no such file, a folder, no permission, a protocol without its package, a broken archive, nothing.
    """
    filesystem, inner = _opened(path)
    try:
        if isinstance(filesystem, LocalFileSystem):
            with open(inner, "rb") as local:  # Arrow's own errors don't tell a folder from a missing permission
                first = local.read(N_FIRST_BYTES)
            if not _codec(first) and first.strip():
                return pa.OSFile(inner)
        data = filesystem.cat_file(inner)
    except FileNotFoundError:
        raise _absent(filesystem, inner) from None
    except IsADirectoryError:
        raise Unreadable("is a folder; name a file in it") from None
    except PermissionError:
        raise Unreadable("permission denied; make the file readable for this user") from None
    except Exception as error:  # every protocol has exceptions of its own
        raise Unreadable(f"can't be read: {error or type(error).__name__}") from None
    data = _decompressed(data)
    if not data or (data[:1].isspace() and not data.strip()):
        raise NoRows("the file is empty; give one with a header line and rows")
    return pa.BufferReader(data)


def _opened(path: str) -> tuple[Any, str]:
    if "://" not in path:  # a name such as "a::b.csv" is no chain of protocols here
        filesystem = LocalFileSystem()
        return filesystem, str(filesystem._strip_protocol(path))
    protocol = path.split("::")[0].split("://")[0]
    try:
        filesystem, inner = fsspec.url_to_fs(path)
    except ImportError as error:
        module = known_implementations.get(protocol, {}).get("class", "").split(".")[0]
        package = f"; run: pip install {module}" if module and module != "fsspec" else ""
        raise Unreadable(f"{error}{package}") from None
    except Exception as error:
        near = did_you_mean(protocol, known_implementations)
        raise Unreadable(f"can't be opened: {error}{near}") from None
    return filesystem, inner


def _absent(filesystem: Any, inner: str) -> Unreadable:
    if filesystem.isdir(inner):
        return Unreadable("is a folder; name a file in it")
    folder, file = posixpath.split(inner)
    try:
        beside = [posixpath.basename(str(entry).rstrip("/")) for entry in filesystem.ls(folder, detail=False)]
    except Exception:  # the folder is missing too, or can't be listed: then there is no name to suggest
        return NoRows("no such file, and its folder can't be listed; check the path")
    return NoRows(f"no such file in {folder or '/'}{did_you_mean(file, beside) or '; check the path'}")


def _codec(first: bytes) -> str | None:
    return next((codec for magic, codec in _COMPRESSIONS.items() if first.startswith(magic)), None)


def _decompressed(data: bytes) -> bytes:
    codec = _codec(data)
    if codec is None:
        return data
    try:
        return bytes(pa.CompressedInputStream(pa.BufferReader(data), codec).read())
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(f"the {codec} archive is damaged ({error}); fetch or write it again") from None
