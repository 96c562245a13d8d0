"""A quantization plan: which format each module of a network is stored in, and what the others keep."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from planner.model.formats.modules import Module, ModuleKind
from planner.model.formats.name_patterns import compiled, glob_match
from planner.model.formats.piece import Format
from planner.model.formats.plain import Plain

# How a library reads its patterns:
#   transformers   should_convert_module: whole leading parts of the name, an ending, or a regular expression
#   compressed     compressed-tensors' match_name: a whole name, or "re:" and a regular expression from the start
#   glob           ModelOpt and Quark: * for any characters; a name alone also means what lies below it
#   part           bitsandbytes, AWQ: anywhere in the name
#   regex          GPTQModel's `dynamic`: a regular expression from the start
Style = Literal["transformers", "compressed", "glob", "part", "regex"]


@dataclass(frozen=True, kw_only=True)
class NamePatterns:
    """Patterns of one list, read as one library reads them."""

    patterns: tuple[str, ...]
    style: Style

    @cached_property
    def _plain(self) -> frozenset[str]:
        return frozenset(p for p in self.patterns if _is_plain(p))

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple(self._plain)

    @cached_property
    def _others(self) -> tuple[str, ...]:
        return tuple(p for p in self.patterns if not _is_plain(p))

    def matches(self, name: str) -> bool:
        """Whether any pattern names this module."""
        if self.style == "part":
            return any(pattern in name for pattern in self.patterns)
        if self.style in ("transformers", "glob"):
            if not self._plain.isdisjoint(_parents(name)):
                return True
            if self.style == "transformers" and name.endswith(self._endings):
                return True
        elif name in self._plain and self.style == "compressed":
            return True
        return any(self._one(pattern, name) for pattern in self._others)

    def _one(self, pattern: str, name: str) -> bool:
        if self.style == "glob":
            if pattern.startswith("re:"):
                return compiled(pattern[3:]).match(name)
            return glob_match(pattern, name) or any(glob_match(pattern, parent) for parent in _parents(name))
        if self.style == "compressed":
            return pattern.startswith("re:") and compiled(pattern[3:]).match(name)
        if self.style == "regex":
            return compiled(pattern).match(name)
        return any(compiled(pattern).match(parent, whole=True) for parent in _parents(name))

    def unmatched(self, names: frozenset[str]) -> tuple[str, ...]:
        """Patterns that name none of these modules."""
        known = {parent for name in names for parent in _parents(name)}
        found = []
        for pattern in self.patterns:
            one = NamePatterns(patterns=(pattern,), style=self.style)
            if pattern not in known and not any(one.matches(name) for name in names):
                found.append(pattern)
        return tuple(found)


def _is_plain(pattern: str) -> bool:
    return all(char.isalnum() or char in "._-" for char in pattern)


def _parents(name: str) -> tuple[str, ...]:
    """The name and every module it lies in."""
    parts = name.split(".")
    return tuple(".".join(parts[:n]) for n in range(1, len(parts) + 1))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Modules of these names are stored in this format; None keeps them as they were."""

    names: NamePatterns
    format: Format | None


@dataclass(frozen=True, kw_only=True)
class QuantizationPlan:
    """What a quantization config says, resolved to formats; the first rule that names a module decides."""

    method: str  # as the config names it: "gptq", "compressed-tensors", "modelopt"
    linear: Format | None
    experts: Format | None = None  # None: as other linear modules
    head: Format | None = None
    embedding: Format | None = None
    router: Format | None = None
    rules: tuple[Rule, ...] = ()
    kept: Plain = Plain()
    kv_cache: str | None = None  # what the config says of the cache: "FP8", "NVFP4"
    average_bits: bool = False  # sizes follow a stated average; the exact ones are in the files
    notes: tuple[str, ...] = ()

    def format_of(self, module: Module) -> Format:
        """How a module is stored."""
        if module.kind is ModuleKind.OTHER:
            return self.kept
        for rule in self.rules:
            if any(rule.names.matches(name) for name in module.names):
                return rule.format or self.kept
        found = {
            ModuleKind.LINEAR: self.linear,
            ModuleKind.EXPERTS: self.experts or self.linear,
            ModuleKind.ROUTER: self.router,
            ModuleKind.HEAD: self.head,
            ModuleKind.EMBEDDING: self.embedding,
        }[module.kind]
        return found or self.kept

    @property
    def label(self) -> str:
        """The format that most modules are stored in."""
        main = self.experts or self.linear
        return self.method if main is None else main.label
