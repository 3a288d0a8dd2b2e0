"""What an exported language model is compared on: the tokens of the holdout's pairs and of texts that are hard to get
right, and the model's own logits for them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from tasks import parquet
from tasks.parity import Expected, Rows
from tasks.source_rows import evenly

IDS = "ids"
MOST_CELLS = 2e7  # rows x tokens x vocabulary, of float64
SCRIPTS = "größe 絵 \U0001f98a\n\t"
HARD = {"an empty text": "", "one letter": "a", "2,000 words": "word " * 2_000, "other scripts": SCRIPTS}


def looked_at(folder: Path, holdout: Path, most: int) -> tuple[Rows, dict[str, npt.NDArray[np.int64]], Expected]:
    """The rows, the hard ones first; their tokens (n, L) as the export takes them; and the logits (n, L, V).

    holdout: Parquet of typed pairs. most: rows of it, taken evenly; fewer where logits would take too much memory.
    """
    import torch

    from tasks.model._pairs import Sequences
    from tasks.model.text_generator import Fitted

    writer, n_holdout = Fitted.load(folder).writer, pq.read_metadata(holdout).num_rows
    n_most = int(max(1, MOST_CELLS // (writer.vocabulary * writer.context)))
    typed = parquet.take(holdout, evenly(np.arange(n_holdout), min(most, n_most)))
    hard = pd.DataFrame({name: list(HARD.values()) for name in typed})
    sequences = Sequences.of(writer, pd.concat([hard, typed], ignore_index=True))
    first = sequences.first[:-1]
    ids, _ = sequences.batch(first, torch.device("cpu"))
    begun = time.perf_counter()
    with torch.inference_mode():
        logits = writer.net(input_ids=ids, use_cache=False).logits.double().numpy()
    seconds = time.perf_counter() - begun
    rows = Rows(typed, tuple(HARD), n_holdout)
    return rows, {IDS: ids.numpy()}, Expected(logits, None, None, len(first) / seconds)


def prompts(folder: Path, X: pd.DataFrame) -> list[list[int]]:
    """What stands before each response, as tokens."""
    from tasks.model._respond import begun_with
    from tasks.model.text_generator import Fitted
    from tasks.pairs import asked

    fitted = Fitted.load(folder)
    return begun_with(fitted.writer, asked(X)[0], fitted.most_new)
