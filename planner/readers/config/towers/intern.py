"""InternVL as converted (`internvl`), as first published (`internvl_chat`), and Qianfan-OCR."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.towers.encoders import encoder
from planner.readers.config.towers.intern_vit import shuffle_projector
from planner.readers.config.towers.wrapper import Wrapper

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "internvl": Wrapper(
            text="qwen2",
            parts=(("vision tower", encoder("internvl_vision")), ("vision projector", shuffle_projector)),
        ),
        "internvl_chat": Wrapper(
            text="qwen2",
            parts=(("vision tower", encoder("intern_vit_6b")), ("vision projector", shuffle_projector)),
        ),
        "qianfan_ocr": Wrapper(
            text="qwen3",
            parts=(("vision tower", encoder("qianfan_ocr_vision")), ("vision projector", shuffle_projector)),
        ),
    }
)
