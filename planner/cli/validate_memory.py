"""`planner validate memory`."""

from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.cli.rows_file import rows_option, write_rows
from planner.report.validation_document import ROW_COLUMNS, memory_validation_document, row_lines


@click.command("memory")
@click.argument("file", type=click.Path(path_type=Path))
@rows_option
@format_option
@mendable_errors
def command(file: Path, rows_file: Path | None, output_format: str) -> None:
    """Predict what engines allocated and compare with their logs, one row of FILE at a time.

    FILE is a CSV table of load logs: of llama.cpp, ik_llama.cpp and Ollama (columns engine, model_name,
    n_ctx_tokens, model_buf_detail_mib, kv_total_mib …), or of vLLM and SGLang (engine, model, weights_load_gib,
    kv_cache_gib, kv_tokens …). Sizes that a log prints are compared with and never used to predict; a row that
    cannot be predicted is counted with its reason.

    \b
    Examples:
      planner validate memory logs.csv
      planner validate memory logs.csv --rows predictions.csv
      planner validate memory logs.csv --format json
    """
    with patient_progress("Rows") as progress:
        found = api.validate_memory(file, progress=progress)
    if rows_file is not None:
        write_rows(rows_file, ROW_COLUMNS, row_lines(found.predictions))
    document = memory_validation_document(
        found.name, found.n_rows, found.predictions, found.scores, found.group_scores
    )
    render(document, output_format)
