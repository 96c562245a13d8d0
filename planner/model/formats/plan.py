"""A quantization plan: which format each module of a network is stored in, and what the others keep."""

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, Literal

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
_MOST_IN_DOUBT: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class NamePatterns:
    """Patterns of one list, read as one library reads them."""

    patterns: tuple[str, ...]
    style: Style

    @cached_property
    def _plain(self) -> frozenset[str]:
        return frozenset(p for p in self.patterns if _is_plain(p))

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple(self._plain)

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        """What stands before the * of patterns that end in their only one."""
        return tuple(p[:-1] for p in self.patterns if self.style == "glob" and _is_beginning(p))

    @cached_property
    def _others(self) -> tuple[str, ...]:
        return tuple(p for p in self.patterns if not _is_plain(p) and p[:-1] not in self._beginnings)

    def matches(self, name: str) -> bool:
        """Whether any pattern names this module."""
        if self.style == "part":
            return any(pattern in name for pattern in self.patterns)
        if self._plain:
            if self.style == "compressed":
                if name in self._plain:
                    return True
            elif self.style != "regex" and not self._plain.isdisjoint(parents(name)):
                return True
            if self.style == "transformers" and name.endswith(self._texts):
                return True
        if self._beginnings and name.startswith(self._beginnings):
            return True
        others = self.patterns if self.style == "regex" else self._others
        return any(self._one(pattern, name) for pattern in others)

    def _one(self, pattern: str, name: str) -> bool:
        if pattern.startswith("re:"):
            return compiled(pattern[3:]).match(name)
        if self.style == "glob":
            return any(glob_match(pattern, parent) for parent in parents(name))
        if self.style == "regex":
            return compiled(pattern).match(name)
        if self.style == "compressed":
            return False
        return any(compiled(pattern).match(parent, whole=True) for parent in parents(name))

    def unmatched(self, names: "KnownNames") -> tuple[str, ...]:
        """Patterns that name none of these modules, of the first thousand or so that are in doubt."""
        found: list[str] = []
        for pattern in self.patterns:
            if len(found) >= _MOST_IN_DOUBT:
                break
            if pattern not in names.parents and not self._named(pattern, names):
                found.append(pattern)
        return tuple(found)

    def _named(self, pattern: str, names: "KnownNames") -> bool:
        if self.style == "part":
            return pattern in names.text
        if _is_plain(pattern) and self.style != "regex":
            return self.style == "transformers" and f"{pattern}\n" in names.text
        if self.style == "glob" and _is_beginning(pattern):
            return names.has_beginning(pattern[:-1])
        return any(self._one(pattern, name) for name in names.ordered)


@dataclass(frozen=True, kw_only=True)
class KnownNames:
    """The names of all modules of a network, in forms that are quick to ask."""

    ordered: tuple[str, ...]  # in alphabetical order

    @cached_property
    def parents(self) -> frozenset[str]:
        """Every module, and every module that modules lie in."""
        return frozenset(parent for name in self.ordered for parent in parents(name))

    @cached_property
    def text(self) -> str:
        """All names, a line each."""
        return "".join(f"{name}\n" for name in self.ordered)

    def has_beginning(self, text: str) -> bool:
        """Whether any name begins so."""
        at = bisect_left(self.ordered, text)
        return at < len(self.ordered) and self.ordered[at].startswith(text)


def _is_plain(pattern: str) -> bool:
    return all(char.isalnum() or char in "._-" for char in pattern)


def _is_beginning(pattern: str) -> bool:
    return pattern.endswith("*") and _is_plain(pattern[:-1])


@lru_cache(maxsize=65_536)
def parents(name: str) -> tuple[str, ...]:
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
    kept: Plain = field(default_factory=Plain)
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
    def patterns(self) -> tuple[str, ...]:
        """Every pattern of every rule."""
        return tuple(pattern for rule in self.rules for pattern in rule.names.patterns)
