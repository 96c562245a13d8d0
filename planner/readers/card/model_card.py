"""A model's card: README.md of a hub repository or folder, and the results in its `.eval_results`.

Cards are written by anyone, for people. Metadata is read from the YAML block at the top, figures from the
text where words say what they are; what cannot be read is told in one line, and the rest still counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hardware.units import KIB, MIB, TERA
from planner.errors import MalformedError, ReadError
from planner.model.card import Benchmark, Card
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded
from planner.readers.card.metadata import Plain, parse_metadata, parse_yaml, split_front_matter
from planner.readers.card.names import name_variants
from planner.readers.card.quantization_words import quantization_words
from planner.readers.card.tables import CardText, read_pieces
from planner.readers.card.text import stated_contexts, stated_parameters

CARD_FILE = "README.md"
MAX_CARD_BYTES = MIB
EVAL_FOLDER = ".eval_results"
MAX_EVAL_FILES = 20
MAX_EVAL_BYTES = 256 * KIB
MAX_BENCHMARKS = 200

_LONGEST = 200  # characters of a name, licence or tag
_MAX_LISTED = 100
_RELATIONS = frozenset(("quantized", "finetune", "merge", "adapter"))
_MODALITIES = ("image", "video", "audio")
_MODALITY_WORDS = {
    "image": (
        "image-text-to-text",
        "image-to-text",
        "visual-question-answering",
        "vision",
        "multimodal",
        "vlm",
    ),
    "video": ("video-text-to-text",),
    "audio": ("audio-text-to-text", "automatic-speech-recognition", "audio"),
}


def read_card(folder: Path) -> Card | None:
    """The card of a folder on this machine; None without README.md."""
    path = folder / CARD_FILE
    if not path.exists():
        return None
    results = {}
    problems = []
    for file in sorted((folder / EVAL_FOLDER).glob("*.y*ml"))[:MAX_EVAL_FILES]:
        try:
            results[file.name] = read_bounded(file, MAX_EVAL_BYTES)
        except ReadError as error:
            problems.append(str(error))
    try:
        data = read_bounded(path, MAX_CARD_BYTES)
    except ReadError as error:
        return Card(problems=(str(error),))
    return parse_card(data, folder.resolve().name, results=results, problems=problems)


def parse_card(
    data: bytes,
    name: str,
    *,
    results: Mapping[str, bytes] | None = None,
    metadata: Mapping[str, object] | None = None,
    problems: Sequence[str] = (),
) -> Card:
    """A card from its bytes; `name` is the model's, by which a card of several models finds its own.

    `results` are the files of `.eval_results`; `metadata` is what a hub tells of a card that it does not
    give, used when `data` has none.
    """
    problems = list(problems)
    block, body = split_front_matter(data[:MAX_CARD_BYTES].decode("utf-8", "replace"))
    fields: Mapping[str, object] = metadata or {}
    if block is not None:
        try:
            fields = parse_metadata(block, f"the metadata of {quoted(name)}'s card")
        except MalformedError as error:
            problems.append(str(error))
    benchmarks = [*_model_index(fields.get("model-index"))]
    for file, content in (results or {}).items():
        try:
            benchmarks += _eval_results(parse_yaml(content.decode("utf-8", "replace"), quoted(file)))
        except MalformedError as error:
            problems.append(str(error))
    text = read_pieces(body)
    bases = _texts(fields.get("base_model"))
    relation = _text(fields.get("base_model_relation"))
    tags = _texts(fields.get("tags"))
    pipeline = _text(fields.get("pipeline_tag"))
    variants = name_variants([name, *bases])
    datasets = fields.get("datasets")
    return Card(
        title=_text(text.title),
        licence=_text(fields.get("license")) or next(iter(_texts(fields.get("license"))), None),
        licence_name=_text(fields.get("license_name")),
        licence_link=_text(fields.get("license_link")),
        base_models=bases,
        base_relation=relation if relation in _RELATIONS else None,
        languages=_texts(fields.get("language")),
        tags=tags,
        pipeline=pipeline,
        library=_text(fields.get("library_name")),
        quantized_by=_text(fields.get("quantized_by")),
        n_datasets=len(datasets) if isinstance(datasets, list) else None if datasets is None else 1,
        gated=True if any(str(key).startswith("extra_gated") for key in fields) else None,
        benchmarks=tuple(benchmarks[:MAX_BENCHMARKS]),
        n_benchmarks=len(benchmarks),
        parameters=stated_parameters(text, variants),
        contexts=stated_contexts(text, variants),
        quantizations=quantization_words([*tags, name.rpartition("/")[2]]),
        mentioned_quantizations=quantization_words(_all_text(text)),
        modalities=_modalities(pipeline, tags),
        problems=tuple(problems),
    )


def _all_text(text: CardText) -> Iterator[str]:
    yield from text.sentences
    for table in text.tables:
        for row in table:
            yield from row


def _modalities(pipeline: str | None, tags: Sequence[str]) -> tuple[str, ...]:
    words = {word.lower() for word in (pipeline or "", *tags)}
    if pipeline == "any-to-any":
        words |= {"vision", "audio"}
    return tuple(kind for kind in _MODALITIES if words.intersection(_MODALITY_WORDS[kind]))


def _model_index(value: object) -> Iterator[Benchmark]:
    """Results of the older `model-index`: one task on one data set, several metrics."""
    for model in _mappings(value):
        for result in _mappings(model.get("results")):
            task, dataset, source = (_mapping(result.get(key)) for key in ("task", "dataset", "source"))
            name = _text(dataset.get("name")) or _text(dataset.get("type"))
            for metric in _mappings(result.get("metrics")):
                stated = _text(metric.get("value"))
                if name is None or stated is None:
                    continue
                yield Benchmark(
                    dataset=name,
                    metric=_text(metric.get("name")) or _text(metric.get("type")),
                    task=_text(task.get("name")) or _text(task.get("type")),
                    value=_number(stated),
                    value_text=stated,
                    verified=_flag(metric.get("verified")),
                    signed=metric.get("verifyToken") is not None,
                    source=_text(source.get("name")) or _text(source.get("url")),
                )


def _eval_results(value: Plain) -> Iterator[Benchmark]:
    """Results of the newer `.eval_results` files: one value per data set and task."""
    for result in _mappings(value):
        dataset, source = _mapping(result.get("dataset")), _mapping(result.get("source"))
        name, stated = _text(dataset.get("id")), _text(result.get("value"))
        if name is None or stated is None:
            continue
        yield Benchmark(
            dataset=name,
            metric=_text(result.get("notes")),
            task=_text(dataset.get("task_id")),
            value=_number(stated),
            value_text=stated,
            signed=result.get("verifyToken") is not None,
            source=_text(source.get("name")) or _text(source.get("url")),
        )


def _text(value: object) -> str | None:
    """One line of text, bounded; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    shown = "".join(char if char.isprintable() else " " for char in str(value)[: 4 * _LONGEST])
    return " ".join(shown.split())[:_LONGEST] or None


def _texts(value: object) -> tuple[str, ...]:
    """A list of texts, also where a single one stands in its place."""
    entries = value if isinstance(value, list) else [value]
    found = [text for entry in entries[:_MAX_LISTED] if (text := _text(entry)) is not None]
    return tuple(dict.fromkeys(found))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    yield from (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < TERA else None  # neither NaN nor infinity


def _flag(value: object) -> bool | None:
    return {"true": True, "false": False}.get(str(value).lower())
