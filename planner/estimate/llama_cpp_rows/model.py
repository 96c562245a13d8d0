"""The model of a recorded load: which network the row's metadata describe, and in what form its file holds it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from hardware.units import GIGA
from planner.estimate.llama_cpp_rows.names import file_name, names, squashed
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.model.attention import Attention
from planner.model.expanded_latent import ExpandedLatentAttention
from planner.model.experts import Experts
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup, Mixer, Network
from planner.model.parallel import ParallelMixers

LatentForm = Literal["whole", "split", "both"]  # attn_kv_b; attn_k_b and attn_v_b; all three

# Logs print billions with two to four digits after the point, or trillions with three.
_TOLERATED_FRACTION: Final = 0.0015
_DIGITS: Final = re.compile(r"[-_ ](\d\d)(\d\d)(?=[-_ \].]|$)", re.ASCII)
_MONTHS: Final = 12
_DAYS: Final = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A network that a row may mean, and everything it goes by."""

    id: str
    spellings: tuple[str, ...]
    network: Network
    released: str | None = None  # a month or a day


@dataclass(frozen=True, slots=True, kw_only=True)
class RowModel:
    """The network of a row and the form of its file."""

    name: str
    network: Network
    released: str | None = None
    told_by: Literal["metadata", "name", "columns"]
    has_extra_layers: bool = False  # the file holds the layers that predict further tokens
    latent_form: LatentForm | None = None
    uneven: str | None = None  # why nobody can tell what one layer holds, only what all of them do

    def name_dates(self, text: str) -> str | None:
        """The day that a name holds ("R1 0528", "Instruct-2507") where it is later than the release of the family."""
        found = [self.released] if self.released else []
        year = (self.released or "")[:4]
        for first, second in _DIGITS.findall(text):
            if year and 1 <= int(first) <= _MONTHS and 1 <= int(second) <= _DAYS:
                found.append(f"{year}-{first}-{second}")
            elif f"20{first}" >= year and 1 <= int(second) <= _MONTHS:
                found.append(f"20{first}-{second}")
        return max(found, default=None)


FromColumns = Callable[[LoadRow], RowModel | str]


def row_model(row: LoadRow, known: Sequence[Known], from_columns: FromColumns) -> RowModel | str:
    """The model of a row, or why it cannot be told.

    Metadata decide where the row has them: every figure must agree, and where several entries do (they are alike
    then) the name chooses. Without metadata a whole spelling of an entry must be in the name. A network that no
    entry describes is built from the columns, as far as they say what it is.
    """
    if row.whole("n_layer") is None or row.whole("n_embd") is None:
        return _by_name(row, known)
    fitting = [(entry, form) for entry in known if (form := _form(row, entry.network)) is not None]
    if not fitting:
        return from_columns(row)
    wanted = [squashed(name) for name in names(row.name)]
    fitting.sort(key=lambda pair: _name_rank(pair[0], wanted))
    entry, form = fitting[0]
    return replace(form, name=entry.id, released=entry.released)


def _by_name(row: LoadRow, known: Sequence[Known]) -> RowModel | str:
    index: dict[str, set[str]] = {}
    by_id = {entry.id: entry for entry in known}
    for entry in known:
        for spelling in entry.spellings:
            for part in {spelling, spelling.rpartition("/")[2]}:
                index.setdefault(squashed(part), set()).add(entry.id)
    file, asked = file_name(row.name), row.command.model if row.command else None
    if file and asked and asked.lower().endswith(".gguf") and file_name(asked) != file:
        return f"the row names {file[:60]}, and its command line {(file_name(asked) or '')[:60]}"
    for name in names(row.name):
        for spelled in (squashed(name), squashed(name + "-Instruct")):
            ids = sorted(index.get(spelled, ()), key=lambda id_: (squashed(id_) != spelled, id_))
            forms = [(id_, form) for id_ in ids if (form := _form(row, by_id[id_].network)) is not None]
            if forms and (len(forms) == 1 or squashed(forms[0][0]) == spelled):
                entry = by_id[forms[0][0]]
                return replace(forms[0][1], name=entry.id, released=entry.released, told_by="name")
    return _by_architecture(row, known)


def _by_architecture(row: LoadRow, known: Sequence[Known]) -> RowModel | str:
    """The network that is the only one of its architecture with so many layers, whatever it is called."""
    told, n_layers = squashed(row.architecture or ""), row.whole("n_layer")
    found = []
    for entry in known:
        type_ = squashed(entry.network.architecture)
        alike = type_.startswith(told) and ("moe" in told) == ("moe" in type_)
        if told and n_layers and alike and (form := _form(row, entry.network)) is not None:
            found.append(replace(form, name=entry.id, released=entry.released))
    if len({(form.network.hidden_size, form.network.groups) for form in found}) == 1:
        return found[0]
    return "the row has no metadata of the model, and the catalogue no entry of its name"


def _name_rank(entry: Known, wanted: Sequence[str]) -> tuple[int, str]:
    """Entries of the same name first, then those whose name the row's begins with."""
    spelled = {
        squashed(part) for spelling in entry.spellings for part in (spelling, spelling.rpartition("/")[2])
    }
    for place, name in enumerate(wanted):
        if name in spelled:
            return place, entry.id
    close = max((len(_shared_start(name, spelling)) for name in wanted for spelling in spelled), default=0)
    return 1000 - close, entry.id


def _shared_start(first: str, second: str) -> str:
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return first[:n]


def _form(row: LoadRow, network: Network) -> RowModel | None:
    """How a file of the network would have to be stored to agree with the row; None when it cannot."""
    n_extra = n_extra_layers(network)
    n_layer = row.whole("n_layer")
    if n_layer is not None and n_layer not in (network.n_layers, network.n_layers + n_extra):
        return None
    vocab, width = row.whole("n_vocab"), row.whole("n_embd")
    if vocab is not None and vocab != network.vocab_size:
        return None
    if width is not None and not _is_width(width, network, row.architecture):
        return None
    if not _heads_agree(row, network) or not _experts_agree(row, network):
        return None
    extra = bool(n_extra) and n_layer == network.n_layers + n_extra
    form = _latent_form(row, network, extra=extra)
    parameters = row.number("params_B")
    if parameters is not None:
        counts = list(_parameter_counts(network, extra=extra, form=form))
        if all(abs(parameters * GIGA / count - 1) > _TOLERATED_FRACTION for count in counts):
            return None
    return RowModel(name="", network=network, told_by="metadata", has_extra_layers=extra, latent_form=form)


def n_extra_layers(network: Network) -> int:
    """Layers that predict further tokens, which some files hold behind the others."""
    return sum(weight.role == "nextn.enorm" for weight in network.mtp)


def _is_width(width: int, network: Network, architecture: str | None) -> bool:
    if width == network.hidden_size:
        return True
    # These print what goes into the first layer: the embedding, and as much again for some image features.
    stacked = (architecture or "").startswith("qwen3vl")
    return stacked and width % network.hidden_size == 0 and width // network.hidden_size <= 8


def mixers(network: Network) -> Iterator[tuple[LayerGroup, Mixer]]:
    """Each group and its mixer, of two in parallel the attention."""
    for group in network.groups:
        if isinstance(group.mixer, ParallelMixers):
            yield group, group.mixer.attention
        elif group.mixer is not None:
            yield group, group.mixer


def _heads_agree(row: LoadRow, network: Network) -> bool:
    attention = {}
    latent = set()
    for group, mixer in mixers(network):
        if isinstance(mixer, Attention):
            attention.update(dict.fromkeys(group.layers, mixer))
        elif isinstance(mixer, LatentAttention | ExpandedLatentAttention):
            latent.add(mixer.n_heads)
    heads, kv_heads = row.per_layer("n_head"), row.per_layer("n_head_kv")
    if latent:
        rank = row.whole("kv_lora_rank")
        ranks = {m.kv_lora_rank for _, m in mixers(network) if isinstance(m, LatentAttention)}
        return (heads is None or heads in latent) and (not rank or not ranks or rank in ranks)
    if not attention:
        return True
    for told, of in ((heads, "n_heads"), (kv_heads, "n_kv_heads")):
        if told is None:
            continue
        if isinstance(told, tuple):
            if any(told[i] != getattr(m, of) for i, m in attention.items() if i < len(told)):
                return False
        elif told not in {getattr(m, of) for m in attention.values()}:
            return False
    return True


def _experts_agree(row: LoadRow, network: Network) -> bool:
    blocks = [group.block for group in network.groups if isinstance(group.block, Experts)]
    n, used = row.whole("n_expert"), row.whole("n_expert_used")
    if n is not None and n != max((block.n_experts for block in blocks), default=0):
        return False
    return not used or used in {block.n_active for block in blocks}


def _latent_form(row: LoadRow, network: Network, *, extra: bool) -> LatentForm | None:
    """How the key-value up-projection is stored, by the number of tensors in the file, or of parameters."""
    n_latent = sum(len(g.layers) for g, mixer in mixers(network) if isinstance(mixer, LatentAttention))
    if not n_latent:
        return None
    n_split = sum(len(group.layers) * len(group.weights(network.hidden_size)) for group in network.groups)
    n_split += len(network.outer) + (len(network.mtp) if extra else 0)
    n = sum(row.tensor_types.values())
    found: dict[int, LatentForm] = {n_split - n_latent: "whole", n_split: "split", n_split + n_latent: "both"}
    if n:
        return found.get(n)
    parameters = row.number("params_B")
    if parameters is None:
        return None
    copied = _kv_b_parameters(network)
    more = parameters * GIGA - network.parameters.text
    return "both" if abs(more - copied) < copied / 4 else None


def _kv_b_parameters(network: Network) -> int:
    return sum(
        len(group.layers) * mixer.n_heads * mixer.kv_lora_rank * (mixer.qk_nope_head_dim + mixer.v_head_dim)
        for group, mixer in mixers(network)
        if isinstance(mixer, LatentAttention)
    )


def _parameter_counts(network: Network, *, extra: bool, form: LatentForm | None) -> Iterator[int]:
    counted = network.parameters
    text = counted.text + (_kv_b_parameters(network) if form == "both" else 0)
    yield text + (counted.mtp if extra else 0)
    yield text + counted.copies
    if network.tied_embeddings:
        yield text + network.vocab_size * network.hidden_size


def as_filed(network: Network, form: LatentForm | None) -> Network:
    """The network with latent attention as a file of this form holds it: expanded where kv_b is in one piece."""
    if form != "whole":
        return network
    groups = []
    for group in network.groups:
        mixer = group.mixer
        if isinstance(mixer, LatentAttention) and mixer.indexer is None:
            mixer = ExpandedLatentAttention(
                n_heads=mixer.n_heads, q_lora_rank=mixer.q_lora_rank, kv_lora_rank=mixer.kv_lora_rank,
                qk_nope_head_dim=mixer.qk_nope_head_dim, qk_rope_head_dim=mixer.qk_rope_head_dim,
                v_head_dim=mixer.v_head_dim,
            )  # fmt: skip
        groups.append(replace(group, mixer=mixer))
    return replace(network, groups=tuple(groups))


def with_fused_experts(network: Network) -> Network:
    """The network with gate and up of its experts in one tensor, as some files hold them."""
    groups = tuple(
        replace(group, block=replace(group.block, fused_gate=True))
        if isinstance(group.block, Experts) and group.block.gated
        else group
        for group in network.groups
    )
    return replace(network, groups=groups)
