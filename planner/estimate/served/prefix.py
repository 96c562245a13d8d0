"""What it saves that all prompts begin with the same tokens: they are read and kept once.

With P tokens of a prompt, S of them found in the cache, and O tokens answered:

    read       = P − S tokens a prompt; their attention still goes over all P of them
    kept once  = cache(S);  of each request beside it: cache(P + O) − cache(S)
"""

from hardware.spec import Basis
from planner.estimate.serving_speed.deployment import Deployment
from planner.estimate.term import Term


def prefix_terms(one: Deployment, prompt_s: float, whole_prompt_s: float) -> tuple[Term, ...]:
    """The bytes that a GPU keeps once and for each request, and the seconds of reading a prompt; `one` finds the prefix."""
    share = one.load.layer_share * one.cache_element_bytes
    n_total = one.n_prompt_tokens + one.n_output_tokens
    once, whole = (float(one.load.cache_elements(n)) * share for n in (one.n_cached_tokens, n_total))

    def term(name: str, value: float, unit: str, source: str) -> Term:
        return Term(name=name, value=value, unit=unit, basis=Basis.DERIVED, source=source)

    return (
        term("cache of the prefix, kept once", once, "bytes", f"{one.n_cached_tokens:,} tokens in whole blocks"),
        term("cache of each request beside it", whole - once, "bytes", f"up to {n_total:,} tokens in all"),
        term("reading a prompt behind the prefix", prompt_s, "s",
             f"{one.n_prompt_tokens - one.n_cached_tokens:,} tokens, whose attention goes over {one.n_prompt_tokens:,}"),
        term("reading it whole", whole_prompt_s, "s", f"{one.n_prompt_tokens:,} tokens; the first request does"),
    )  # fmt: skip
