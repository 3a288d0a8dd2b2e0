"""Models on huggingface.co, or on the mirror that HF_ENDPOINT names: files that hold no code are downloaded, into the
hub's own cache."""

from __future__ import annotations

from pathlib import Path

from tasks.refusal import Refusal

# README.md names the licence, a *.jinja is a chat template.
PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.model", "*.jinja", "README.md")
TWICE = "*consolidated*.safetensors"  # the weights once more, under the names that they had before transformers


def download(name: str, key: str = "base") -> Path:
    """The folder of a model, by its id `owner/name`; what was downloaded before is found without a network too. key: by
    which the user named it.

    https://huggingface.co/docs/huggingface_hub/guides/download

    Raises:
        Refusal: where there is no such id, no network, or no huggingface_hub, and where the download breaks off.
    """
    gives = f"give the folder that its files lie in: {key}=PATH (config.json, *.safetensors and the tokenizer's)"
    no_folder = f"{key}={name}: there is no such folder"
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise Refusal(
            f'{no_folder}; to look for it on huggingface.co: pip install "finefold[text]", or {gives}.'
        ) from None
    hub = constants.ENDPOINT.removeprefix("https://")
    try:
        return Path(snapshot_download(name, allow_patterns=list(PATTERNS), ignore_patterns=TWICE))
    except GatedRepoError as error:
        reason = f"and on {hub} its owner asks you to log in (`hf auth login`) and to accept the terms"
        raise Refusal(f"{no_folder}, {reason}; do so, or {gives}.") from error
    except RepositoryNotFoundError as error:
        reason = f"and on {hub} no such model, or a private one"
        raise Refusal(f"{no_folder}, {reason}; check the id, log in (`hf auth login`), or {gives}.") from error
    except LocalEntryNotFoundError as error:
        cause = error.__cause__
        answer = f"answers {_said(cause)}" if isinstance(cause, HfHubHTTPError) else "can't be reached"
        reason = f"{hub} {answer}, and it was not downloaded before"
        raise Refusal(f"{no_folder}, {reason}; check the network, or {gives}.") from error
    except (HTTPError, OSError, ValueError) as error:  # a connection that breaks, a full disk, an id that can't be one
        raise Refusal(f"{no_folder}, and {hub}: {_said(error)}; {gives}.") from error


def _said(error: BaseException) -> str:
    """The first line of an error."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def page(name: str, folder: Path) -> str:
    """Where on the hub what was downloaded lies, of the very commit."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{name}/tree/{folder.name}"
