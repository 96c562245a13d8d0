"""An estimate as data: where the model lies, how fast it is there, and the terms of both."""

from planner.estimate.fit import FitRow
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import total
from planner.report.drafted_and_together import step_data
from planner.report.estimate_terms import Data, interval_data, term_data


def fit_row_data(row: FitRow) -> Data:
    """One model at one quantization and context on one machine."""
    placement = row.placement
    flags = placement.flags
    return {
        "model": row.model.name,
        "quantization": row.model.storage.label,
        "quantization_predicted": row.model.storage.predicted,
        "n_context_tokens": flags.n_context_tokens,
        "n_batch": flags.n_batch,
        "n_ubatch": flags.n_ubatch,
        "n_sequences": flags.n_sequences,
        "k_type": flags.k_type,
        "v_type": flags.v_type,
        "flash_attention": flags.flash_attention,
        "fits": placement.fits,
        "where": placement.kind,
        "n_gpu_layers": placement.split.n_gpu_layers,
        "n_cpu_moe": placement.split.n_cpu_moe,
        "needed_bytes": placement.needed_bytes,
        "devices": [
            {
                "name": load.device.name,
                "is_gpu": load.device.is_gpu,
                "shares_ram": load.device.shares_ram,
                "capacity_bytes": load.device.capacity_bytes,
                "needed_bytes": load.needed_bytes,
                "free_bytes": load.free_bytes,
                "terms": [term_data(term) for term in load.terms],
            }
            for load in placement.loads
        ],
        "largest_context_tokens": row.largest_context_tokens,
        "decode": speed_data(row.decode),
        "decode_full_context": speed_data(row.decode_full),
        "prefill": speed_data(row.prefill),
        **step_data(row),
        "command": list(row.command),
    }


def speed_data(estimate: SpeedEstimate) -> Data:
    """A speed: interval, the terms of its time in seconds, or what is missing."""
    return {
        "tokens_per_s": interval_data(estimate.tokens_per_s),
        "total_s": total(estimate.terms) if estimate.terms else None,
        "terms": [term_data(term) for term in estimate.terms],
        "limited_by": estimate.limited_by,
        "missing": estimate.missing,
    }
