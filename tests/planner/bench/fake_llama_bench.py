"""A stand-in for llama-bench: its options, and the JSON lines of tools/llama-bench/llama-bench.cpp, one test at a time.

FAKE_LLAMA_BENCH says what goes wrong: "crash" after the first test, "hang", "refuse" (a model it cannot load) or "noise".
"""

import json
import os
import signal
import sys
import time


def option(name: str, default: str = "") -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def row(n_prompt: int, n_gen: int, n_depth: int, samples_ns: list[int]) -> dict[str, object]:
    mean = sum(samples_ns) / len(samples_ns)
    return {
        "build_commit": "0c1e570", "build_number": 11434, "cpu_info": "AMD EPYC", "gpu_info": "", "backends": "CPU",
        "model_filename": option("-m"), "model_type": "llama 256M Q4_1", "model_size": 96576768,
        "model_n_params": 134515008, "n_batch": int(option("-b")), "n_ubatch": int(option("-ub")),
        "n_threads": int(option("-t", "2")), "cpu_mask": "0x0", "cpu_strict": False, "poll": 50,
        "type_k": option("-ctk"), "type_v": option("-ctv"), "n_gpu_layers": int(option("-ngl", "-1")), "n_cpu_moe": 0,
        "split_mode": "layer", "main_gpu": 0, "no_kv_offload": False, "flash_attn": int(option("-fa", "-1")),
        "devices": "auto", "tensor_split": "0.00", "tensor_buft_overrides": "none", "load_mode": "auto",
        "lazy_mode": "auto", "embeddings": False, "no_op_offload": 0, "no_host": False, "repack": True,
        "fit_target": 0, "fit_min_ctx": 0, "n_prompt": n_prompt, "n_gen": n_gen, "n_depth": n_depth,
        "test_time": "2026-11-27T22:34:06Z", "avg_ns": round(mean), "stddev_ns": 0,
        "avg_ts": 1e9 * (n_prompt + n_gen) / mean, "stddev_ts": 0.0, "samples_ns": samples_ns,
        "samples_ts": [1e9 * (n_prompt + n_gen) / sample for sample in samples_ns],
    }  # fmt: skip


def main() -> None:
    trouble = os.environ.get("FAKE_LLAMA_BENCH", "")
    assert option("-o") == "jsonl"
    if trouble == "refuse":
        sys.stderr.write("main: error: failed to load model 'x.gguf'\n")
        sys.exit(1)
    if trouble == "hang":
        time.sleep(600)
    n = int(option("-r"))
    for depth in map(int, option("-d").split(",")):
        for n_prompt, n_gen in ((int(option("-p")), 0), (0, int(option("-n")))):
            if n_prompt + n_gen == 0:
                continue
            if trouble == "noise":
                print('{"n_prompt": "many"}', flush=True)
            # 100 prompt tokens and 10 generated ones a second.
            tokens_s = 10_000_000 * n_prompt + 100_000_000 * n_gen
            print(json.dumps(row(n_prompt, n_gen, depth, [tokens_s] * n)), flush=True)
            if trouble == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)


main()
