"""Module names and the patterns that name them."""

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import MalformedError, PlannerError
from planner.model.formats.modules import ModuleKind, modules_of
from planner.model.formats.name_patterns import NamePattern, glob_match
from planner.model.formats.plan import KnownNames, NamePatterns
from planner.readers.config.network import network_from_config

CONFIGS = Path(__file__).parents[1] / "readers" / "configs"
NAMES = (
    "lm_head", "model.layers.0.self_attn.q_proj", "model.layers.12.mlp.experts.0.gate_proj", "model.layers.1.mlp.gate",
    "visual.blocks.0.attn.qkv", "model.layers.10.block_sparse_moe.gate", "a", "",
)  # fmt: skip
PATTERNS = (
    r".*self_attn.*", r".*mlp\.(gate|up|gate_up|down)_proj.*", r".*lm_head.*", r".*mlp.gate$", r"^model\.layers\.[0-9]\..*",
    r"visual.*", r"model.layers.\d{1,2}.mlp.*", r".*[^q]_proj", r"(?:.*router|.*gate)$", r"(a|b)?",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_regular_expressions_do(pattern: str) -> None:
    ours = NamePattern(pattern)
    for name in NAMES:
        assert ours.match(name) == bool(re.match(pattern, name)), name
        assert ours.match(name, whole=True) == bool(re.fullmatch(pattern, name)), name


@given(
    st.text("ab.|()", max_size=6).flatmap(lambda text: st.sampled_from([text, f"{text}*", f"{text}+b?"])),
    st.text("ab", max_size=6),
)
def test_random_patterns_match_as_regular_expressions_do(pattern: str, name: str) -> None:
    try:
        ours = NamePattern(pattern)
    except MalformedError:
        return
    assert ours.match(name) == bool(re.match(pattern, name))


def test_a_hostile_pattern_takes_no_time() -> None:
    # Python's re needs hours for this on 60 characters; states make one step per character.
    began = time.perf_counter()
    assert not NamePattern(r"(.*a)+.*(.*a)+b").match("a" * 200)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "pattern",
    ["(a", "a**", "[a", "(?!x)a", r"\1", "*a", "a{3,}", "a{900}", "(" * 300, "((a{60}){60}){60}", "a" * 700],
)
def test_what_is_not_run_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(MalformedError, match="quantization_config has"):
        NamePattern(pattern)


def test_globs_match_whole_names() -> None:
    assert glob_match("*.mlp.gate", "model.layers.1.mlp.gate")
    assert not glob_match("*.mlp.gate", "model.layers.1.mlp.gate_proj")
    assert glob_match("model.layers.0*", "model.layers.0.mlp.up_proj")
    assert not glob_match("ab*ba", "aba")


def test_each_library_reads_its_lists_in_its_own_way() -> None:
    deep = "model.layers.1.mlp.gate_proj"
    # transformers' should_convert_module: whole leading parts, or an ending.
    assert NamePatterns(patterns=("model.layers.1",), style="transformers").matches(deep)
    assert not NamePatterns(patterns=("model.layers.1",), style="transformers").matches(
        "model.layers.12.mlp.up_proj"
    )
    assert NamePatterns(patterns=("gate",), style="transformers").matches("model.layers.1.mlp.gate")
    assert not NamePatterns(patterns=("gate",), style="transformers").matches(deep)
    # compressed-tensors: a whole name, or a regular expression from the start.
    assert not NamePatterns(patterns=("model.layers.1",), style="compressed").matches(deep)
    assert NamePatterns(patterns=("re:.*gate_proj",), style="compressed").matches(deep)
    # AWQ and bitsandbytes: anywhere.
    assert NamePatterns(patterns=("gate",), style="part").matches(deep)
    # ModelOpt: wildcards, and all that lies below a name.
    assert NamePatterns(patterns=("model.layers.1.*",), style="glob").matches(deep)
    assert NamePatterns(patterns=("model.layers.1.mlp",), style="glob").matches(deep)


def test_patterns_that_name_nothing_are_found() -> None:
    names = KnownNames(ordered=tuple(sorted(NAMES[:4])))
    listed = NamePatterns(
        patterns=("lm_head", "model.layers.1*", "*.router", "mtp*", "model.layers.0"), style="glob"
    )
    assert listed.unmatched(names) == ("*.router", "mtp*")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_modules_hold_every_weight_once(path: Path) -> None:
    try:
        network = network_from_config(json.loads(path.read_text()))
    except PlannerError:
        pytest.skip("not a network this planner reads")
    modules = list(modules_of(network))
    for extra, expected in ((False, network.parameters.text), (True, network.parameters.mtp)):
        chosen = [module for module in modules if module.is_extra is extra]
        assert sum(w.parameters for module in chosen for w in module.weights) == expected
        assert sum(module.n_in * module.n_out * module.n_matrices for module in chosen) == expected


# Roles whose modules have no public name, or none that a quantizer touches.
UNNAMED = frozenset({"ffn_routed_down", "ffn_routed_up"})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_every_linear_module_has_a_name(path: Path) -> None:
    try:
        network = network_from_config(json.loads(path.read_text()))
    except PlannerError:
        pytest.skip("not a network this planner reads")
    linear = (ModuleKind.LINEAR, ModuleKind.EXPERTS, ModuleKind.ROUTER)
    unnamed = {m.weights[0].role for m in modules_of(network) if m.kind in linear and not m.names}
    assert unnamed <= UNNAMED
