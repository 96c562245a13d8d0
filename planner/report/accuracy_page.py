"""The page that says how far off the planner is: what was compared, with what, and where it is weak."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from planner.estimate.validation import Prediction, Score
from planner.report.document import Document
from planner.report.validation_document import (
    group_table,
    reason_table,
    score_table,
    totals_first,
    worst_table,
)

INTRODUCTION: Final = """\
# Accuracy

How far off the planner is, on what engines printed and people measured. Written by `make docs` from tables of
recorded loads; the same figures for a table of your own: [`planner validate`](cli.md#planner-validate).

An error is |predicted / measured − 1|. The rows of one engine, component and architecture (or model, where a log
does not name one) are a group, whose error is the median of its rows'; the tables give the median and the 90th
percentile over groups, so that a model with thirty rows counts no more than a model with one.
"""

LOADS: Final = """\
**Input** is what stands fixed before the engine starts: the model's metadata (which must agree with a network of
the catalogue figure for figure, or else describe one in full), the file's size and how many tensors it has of each
type, context, batches, sequences, cache types, flash attention, the fork's own settings, the command line as far as
it was pasted, the engine's build, names and number of GPUs, and the names of buffers (which say whether a file was
mapped, and which GPUs took part). **Compared with, never read**: every size that the log prints.

Where a row leaves something out, the planner supposes what that engine does by default, or what the guide of the
fork tells everybody to use (`-fmoe` for experts; `-rtr` where experts in main memory are not interleaved already and
no file is mapped). A log without a build is dated by the number of the discussion it was posted in and by its
model's release. Experts are taken to lie in main memory where the GPUs named cannot hold the file. Where tensors
lie on which device then stays unknown, and such a row has a sum over all devices but no total per device.

**Not in these figures**: what drivers and libraries take beside the engine's buffers, which no log prints.
"""

SERVED: Final = """\
**Input**: the model's name (a whole spelling of a catalogue entry), its quantization, the GPU and how much of it may
be used, ranks, longest request, batched tokens, the cache's type, the engine's version. *kv_tokens* and *concurrency*
are predicted from the size of the pool that the log prints; *weights*, *activation*, *non_torch*, *graphs* and the
total (the KV pool that is left) from model, GPU and flags alone. SGLang's pool is given what it prints to be free
after loading.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One table of recorded loads, and what came of it."""

    title: str
    text: str
    n_rows: int
    predictions: Sequence[Prediction]
    scores: Sequence[Score]
    group_scores: Sequence[Score]


def section_document(compared: Compared) -> Document:
    """The tables of one section: scores, architectures, worst rows, what has no prediction."""
    return Document(
        schema="planner.accuracy/1",
        title=compared.title,
        answer=(f"{compared.n_rows} recorded loads.",),
        tables=(
            score_table(sorted(totals_first(compared.scores), key=lambda score: score.engine)),
            group_table(compared.group_scores),
            worst_table(compared.predictions),
            reason_table(compared.predictions),
        ),
    )
