"""Models on huggingface.co: files that hold no code are downloaded, into the hub's own cache."""

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
        Refusal: where there is no such id, no network, or no huggingface_hub.
    """
    gives = f"give the folder that its files lie in: {key}=PATH (config.json, *.safetensors and the tokenizer's)"
    no_folder = f"{key}={name}: there is no such folder"
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError:
        raise Refusal(
            f'{no_folder}; to look for it on huggingface.co: pip install "finefold[text]", or {gives}.'
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(PATTERNS), ignore_patterns=TWICE))
    except GatedRepoError as error:
        reason = "and on huggingface.co its owner asks you to log in (`hf auth login`) and to accept the terms"
        raise Refusal(f"{no_folder}, {reason}; do so, or {gives}.") from error
    except RepositoryNotFoundError as error:
        raise Refusal(f"{no_folder}, and on huggingface.co no such model; check the id, or {gives}.") from error
    except LocalEntryNotFoundError as error:
        reason = "huggingface.co can't be reached, and it was not downloaded before"
        raise Refusal(f"{no_folder}, {reason}; check the network, or {gives}.") from error
    except (OSError, ValueError) as error:  # a full disk, an id that can't be one, a server that fails
        raise Refusal(f"{no_folder}, and huggingface.co: {str(error).splitlines()[0]}; {gives}.") from error
