#!/usr/bin/env python3
"""A `llama-server` program where only xllamacpp's wheel is at hand: it takes the options that our benchmarks give one.

For `planner bench MODEL.gguf --engine llama-server=benchmarks/llama_server_of_xllamacpp.py`.
"""

import argparse
import time


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", dest="model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-c", dest="n_ctx", type=int, default=0)
    for name, attribute in (("-np", "n_parallel"), ("-b", "n_batch"), ("-ub", "n_ubatch"), ("-t", "threads")):
        parser.add_argument(name, dest=attribute, type=int, default=None)
    # Options of three letters that are not passed on, named lest they be read as short ones with a value.
    for name in ("-ctk", "-ctv", "-fa", "-tb", "-ngl"):
        parser.add_argument(name)
    options, _ = parser.parse_known_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = options.n_ctx
    params.endpoint_metrics = True
    for name in ("n_parallel", "n_batch", "n_ubatch"):
        if getattr(options, name) is not None:
            setattr(params, name, getattr(options, name))
    if options.threads is not None:
        params.cpuparams.n_threads = options.threads
        params.cpuparams_batch.n_threads = options.threads
    _server = xllamacpp.Server(params)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
