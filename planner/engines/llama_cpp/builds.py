"""What changed between builds of llama.cpp and shows in memory: since which build each rule holds.

Builds by the dates of the changes and by recorded logs on either side; a build is a count of commits, so a few
more or fewer may be right where only a date is known.
"""

from planner.engines.llama_cpp.flags import LlamaCppFlags

# Rows of a cache are written by index (ggml_set_rows) by default: 2025-08.
WRITES_ROWS = 6200
# Contexts and windows are padded to 256 cells; masks are no longer padded to 64 tokens: 2025-11.
PADS_TO_256 = 6975
# The graph has an input for embeddings beside the one for tokens, used or not (PR #18550, 2026-01).
HAS_EMBEDDINGS_INPUT = 7700
# Outputs of a batch may be limited; llama-server asks for one a sequence: 2026-06.
LIMITS_OUTPUTS = 9460
# Masks for flash attention are written as f16; before, as f32 and converted on the device. f32 in b9010 and in
# logs of mid 2026, f16 in b11434.
WRITES_F16_MASKS = 10_500
# Backends keep what fused steps read, and CUDA counts f16 copies of K and V to the graph: in b11434, not in b10488.
KEEPS_FUSED = 11_000


def since(flags: LlamaCppFlags, build: int) -> bool:
    """Whether the engine is at least of a build; an unknown one counts as current."""
    return flags.build is None or flags.build >= build
