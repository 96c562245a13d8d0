"""Load on a server, as arithmetic: lengths and arrivals of requests, latencies, throughput, and the knee."""
