"""`planner validate speed`."""

from pathlib import Path

import click

from planner import api
from planner.cli.measurement_options import given_options
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.cli.rows_file import rows_option, write_rows
from planner.report.speed_validation_document import ROW_COLUMNS, speed_row_lines, speed_validation_document
from planner.speed.held_out import HoldOut


@click.command("speed")
@click.argument("file", type=click.Path(path_type=Path))
@rows_option
@click.option(
    "--hold-out",
    type=click.Choice(("auto", "none", "cell", "device", "model", "device-but-one-model")),
    default="auto",
    show_default=True,
    help="Refit without each row's cell (device, model, type; engine), device or model; device-but-one-model: without the "
    "device, then taught by its smallest model as by `planner bench`; none: packaged fit.",
)
@given_options
@format_option
@mendable_errors
def command(
    file: Path, rows_file: Path | None, hold_out: HoldOut, given: api.Given, output_format: str
) -> None:
    """Predict what somebody measured and compare, one row of FILE at a time.

    FILE is what llama-bench (JSON, JSONL, CSV, Markdown), llama-batched-bench, `vllm bench serve`, SGLang's
    bench_serving, GuideLLM, AIPerf, GenAI-Perf or `planner bench` wrote, or a CSV table of such results: of
    llama-bench's (device, backend, engine, model, quant, file_size_gib, params_b, n_prompt, n_gen, tok_s …), of
    latencies at a fixed concurrency (backend, model_path, system, isl, osl, tp_size, silicon_ttft_ms,
    silicon_tpot_ms …) or of a server's throughput (hardware, n_gpu, engine, model, isl, osl,
    concurrency_or_request_rate, total_tok_s, output_tok_s). What a format leaves out, such as the GPUs, is given by options. A row that cannot be predicted
    is counted with its reason. With --hold-out auto, rows that a packaged fit was made from are predicted by refits
    that have not seen them, which takes minutes; all others as `planner fit` would.

    \b
    Examples:
      planner validate speed latencies.csv
      llama-bench -m model.gguf -o json > bench.json; planner validate speed bench.json
      planner validate speed bench.csv --hold-out device
      planner validate speed bench.csv --hold-out device-but-one-model
      planner validate speed vllm.json --device "4x H100 SXM" --engine vllm
      planner validate speed latencies.csv --rows predictions.csv --format json
    """
    with patient_progress("Rows") as progress:
        found = api.validate_speed(file, given=given, hold_out=hold_out, progress=progress)
    if rows_file is not None:
        write_rows(rows_file, ROW_COLUMNS, speed_row_lines(found.predictions))
    document = speed_validation_document(
        found.name, found.n_rows, found.predictions, found.scores, found.group_scores, found.before
    )
    render(document, output_format)
