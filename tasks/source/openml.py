"""A data set of openml.org, by its number."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError

import pyarrow as pa

from tasks.source._table import Unreadable, plain, refused

_INSTEAD = "download the data set as a file elsewhere and use source=file source.path=..."


@dataclass(frozen=True)
class OpenML:
    """One data set, downloaded at the first run and read from `<data_home>/openml` afterwards.

    id: the number in the data set's address, https://www.openml.org/d/<id>.
    data_home: the folder of the cache.
    """

    id: int
    data_home: str

    @property
    def name(self) -> str:
        return f"openml_{self.id}"

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, the default target of OpenML among the columns; row identifiers are left out by OpenML's marks.

        Raises:
            Refusal: no network, no such data set, or one that is no dense table.
        """
        yield from self._read[0].to_batches()

    def notes(self) -> list[str]:
        """The default target, and OpenML's own warnings about the data set."""
        return list(self._read[1])

    @cached_property
    def _read(self) -> tuple[pa.Table, list[str]]:
        try:
            bunch, said = self._fetched()
            table = pa.Table.from_batches(plain(pa.Table.from_pandas(bunch.frame, preserve_index=False).to_batches()))
        except HTTPError as error:
            fault = f"openml.org answers {error.code} {error.reason}; try again later, or {_INSTEAD}"
            raise refused("id", self.id, fault) from None
        except (URLError, ConnectionError, TimeoutError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            fault = f"openml.org can't be reached ({reason}); without a network {_INSTEAD}"
            raise refused("id", self.id, fault) from None
        except OSError as error:
            raise refused("data_home", self.data_home, f"the download can't be kept: {error}") from None
        except (ValueError, Unreadable) as error:
            fault = f"{str(error).rstrip('.')}; see https://www.openml.org/d/{self.id}"
            raise refused("id", self.id, fault) from None
        return table, [f"OpenML's default target: {', '.join(bunch.target_names)}", *said]

    def _fetched(self) -> tuple[Any, list[str]]:
        from sklearn.datasets import fetch_openml

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            bunch = fetch_openml(data_id=self.id, as_frame=True, parser="auto", data_home=self.data_home)
        return bunch, [str(one.message) for one in said if "Retrying" not in str(one.message)]
