"""Quantizations by the words that cards, tags and names use for them."""

import re
from collections.abc import Iterable

# llama.cpp's presets and ggml's types, and the formats that engines load from safetensors.
_PATTERN = (
    r"I?Q[1-8]_[01](?:_R\d)?|I?Q[1-8]_K(?:_(?:XXS|XS|S|M|L|XL))?|IQ[1-4]_(?:XXS|XS|S|M|NL)|T?Q[12]_0|F16|BF16|FP16|"
    r"MXFP[468](?:_MOE)?|NVFP4|FP8|FP4|INT[48]|W\dA\d{1,2}|AWQ|GPTQ|EXL[23]|HQQ|AQLM|BNB|bitsandbytes|MLX|GGUF|"
    r"[2348]-?bit"
)
_QUANTIZATION = re.compile(rf"(?<![A-Za-z0-9_])(?:{_PATTERN})(?![A-Za-z0-9_])", re.IGNORECASE)
_MAX_FOUND = 100


def quantization_words(texts: Iterable[str]) -> tuple[str, ...]:
    """The quantizations named, upper-case, each once, in the order met."""
    found: dict[str, None] = {}
    for text in texts:
        for match in _QUANTIZATION.finditer(text):
            if len(found) >= _MAX_FOUND:
                return tuple(found)
            found[
                match[0].upper().replace("BITSANDBYTES", "BNB").replace("BIT", "-bit").replace("--", "-")
            ] = None
    return tuple(found)


def is_quantization_word(word: str) -> bool:
    """Whether a word is nothing but the name of a quantization."""
    return _QUANTIZATION.fullmatch(word) is not None
