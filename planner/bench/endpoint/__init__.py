"""Load tests of servers that speak OpenAI's protocol: vLLM, SGLang, llama-server, LM Studio, hosted APIs."""
