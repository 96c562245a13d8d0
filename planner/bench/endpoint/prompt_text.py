"""Prompts of a wanted length in tokens, each unlike the others, for servers whose tokenizer is not at hand.

Common short English words are one token each in nearly every vocabulary, but not in all, and a chat template adds
its own. So the server's own counts for two lengths give tokens = fixed + per_word · words, which is then used.
"""

import random
from dataclasses import dataclass
from typing import Final

_TEXT: Final = """
time year people way day man thing woman life child world school state family student group country
problem hand part place case week company system program question work number night point home water
room mother area money story fact month lot right study book eye job word business issue side kind
head house service friend father power hour game line end member law car city community name
president team minute idea kid body information back parent face level office door health person art
war history party result change morning reason research girl guy moment air teacher force education
"""
_WORDS: Final = tuple(_TEXT.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptScale:
    """How words become tokens on one server."""

    fixed_tokens: float = 0.0
    tokens_per_word: float = 1.0
    is_counted: bool = False  # False where the server gives no counts: lengths are then in words

    def n_words(self, n_tokens: int) -> int:
        """Words of a prompt that has nearly so many tokens; at least one."""
        return max(1, round((n_tokens - self.fixed_tokens) / self.tokens_per_word))


def prompt_of(n_words: int, chance: random.Random) -> str:
    """Words in random order: no two prompts begin alike, so that a prefix cache helps none of them."""
    return " ".join(chance.choices(_WORDS, k=n_words))


def scale_from(few_words: int, few_tokens: int, many_words: int, many_tokens: int) -> PromptScale:
    """The scale that two counted prompts give; words for tokens where the counts make no sense."""
    per_word = (many_tokens - few_tokens) / (many_words - few_words)
    fixed = few_tokens - per_word * few_words
    if not 0.1 <= per_word <= 10:
        return PromptScale()
    return PromptScale(fixed_tokens=max(0.0, fixed), tokens_per_word=per_word, is_counted=True)
