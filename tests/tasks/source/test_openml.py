"""OpenML is read from its cache, and without a network the way out is named."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
from pathlib import Path

import pytest

from tasks.refusal import Refusal
from tasks.source import load
from tasks.source.openml import OpenML

_ARFF = b"@relation tiny\n@attribute size numeric\n@attribute 'class' {a,b}\n@data\n1.5,a\n?,b\n3,a\n"


def fill_cache(folder: Path) -> None:
    """What fetch_openml leaves behind after a download of data set 7."""
    features = [
        {"index": str(place), "name": name, "data_type": kind, "is_target": str(name == "class").lower()}
        | {"is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
        for place, (name, kind) in enumerate([("size", "numeric"), ("class", "nominal")])
    ]
    description = {"id": "7", "name": "tiny", "version": "1", "format": "ARFF", "status": "active", "file_id": "70"}
    description |= {"description": "three rows", "md5_checksum": hashlib.md5(_ARFF).hexdigest()}
    description |= {"url": "https://www.openml.org/data/v1/download/70/tiny.arff"}
    contents = {
        "api/v1/json/data/7": json.dumps({"data_set_description": description}).encode(),
        "api/v1/json/data/features/7": json.dumps({"data_features": {"feature": features}}).encode(),
        "api/v1/json/data/qualities/7": json.dumps(
            {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "3"}]}}
        ).encode(),
        "data/v1/download/70/tiny.arff": _ARFF,
    }
    for name, content in contents.items():
        path = folder / "openml" / "openml.org" / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content))


def test_a_cached_data_set_is_read_without_a_network(tmp_path: Path) -> None:
    fill_cache(tmp_path)
    source = OpenML(id=7, data_home=str(tmp_path))
    assert load(source).to_pylist() == [
        {"size": 1.5, "class": "a"},
        {"size": None, "class": "b"},
        {"size": 3.0, "class": "a"},
    ]
    assert source.notes() == ["OpenML's default target: class"]
    assert source.name == "openml_7"


def test_no_network_is_refused_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(Refusal, match=r"source.id=7: openml.org can't be reached .*source=file"):
        load(OpenML(id=7, data_home=str(tmp_path)))
