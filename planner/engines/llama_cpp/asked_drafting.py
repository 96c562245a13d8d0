"""Speculative decoding as somebody asked for it, before any model is opened."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDrafting:
    """A draft model, or the model's own prediction layers where none is named."""

    draft: str | None = None
    draft_quant: str | None = None
    acceptance: float | None = None
    n_draft_tokens: int | None = None

    @property
    def is_mtp(self) -> bool:
        """Whether the model drafts with layers of its own."""
        return self.draft is None
