"""ggml's graphs, scheduler and graph allocator, replayed on shapes alone, without any memory."""
