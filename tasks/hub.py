"""Models on huggingface.co: files that hold no code are downloaded, into the hub's own cache."""

from __future__ import annotations

from pathlib import Path

from tasks.refusal import Refusal

PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.model", "README.md")  # README.md names the licence


def download(name: str) -> Path:
    """The folder of a model, by its id `owner/name`; what was downloaded before is found without a network too.

    https://huggingface.co/docs/huggingface_hub/guides/download

    Raises:
        Refusal: where there is no such id, no network, or no huggingface_hub.
    """
    gives = "give the folder that its files lie in: base=PATH (config.json, *.safetensors and the tokenizer's)"
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise Refusal(
            f'base={name}: there is no such folder; to look for it on huggingface.co: pip install "finefold[text]", or '
            f"{gives}."
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(PATTERNS)))
    except (OSError, ValueError) as error:  # also what the hub's own errors are, and those of its connections
        reason = " ".join(str(error).split(". ")[0].split())
        raise Refusal(
            f"base={name}: there is no such folder, and huggingface.co gives no such model ({reason}); check the id "
            f"and the network, or {gives}."
        ) from error
