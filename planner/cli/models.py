"""`planner models` and its commands."""

from difflib import get_close_matches

import click
from click.shell_completion import CompletionItem

from planner import api
from planner.cli.options import COUNT, SIZE, TOKENS, CommaList, complete_model, format_option, mendable_errors
from planner.cli.progress import patient_progress, progress_bar
from planner.cli.render import render
from planner.estimate.catalogue import SORT_KEYS, CatalogueQuery, SortKey
from planner.model.presets import BASE_TYPES
from planner.readers.catalogue_entry import Label
from planner.report.models_document import added_document, models_document, updated_document
from profiles.errors import ProfileError
from profiles.loader import user_folder

_LIST = "list"


class _ListsByDefault(click.Group):
    """A group that lists when no command is named: `planner models qwen` is `planner models list qwen`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the default command first, except for completion, which should offer every command."""
        is_own = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        if not is_own and not (ctx.resilient_parsing and not args):
            args = [_LIST, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, and what the default one takes."""
        found = super().shell_complete(ctx, incomplete)
        own = {item.value for item in found}
        listing = self.commands[_LIST]
        with click.Context(listing, parent=ctx, info_name=_LIST) as inner:
            more = listing.shell_complete(inner, incomplete)
        names = [] if incomplete.startswith("-") else complete_model(ctx, None, incomplete)
        return found + [item for item in (*more, *names) if item.value not in own]


@click.group("models", cls=_ListsByDefault)
def command() -> None:
    """Which models the catalogue knows; add your own and keep them up to date.

    Without a command, lists: `planner models qwen --moe` is `planner models list qwen --moe`. To look at one
    model closely, use `planner model NAME`.

    \b
    Examples:
      planner models
      planner models qwen3 --max-memory 24GiB --context 32k
      planner models add ORG/NAME
    """


@command.command(_LIST)
@click.argument("text", nargs=-1)
@click.option(
    "--licence",
    "--license",
    "licences",
    type=CommaList(click.STRING, "NAME[,…]"),
    default=(),
    help='One of these licences; patterns such as "llama*" work.',
)
@click.option(
    "--family",
    "families",
    type=CommaList(click.STRING, "NAME[,…]"),
    default=(),
    help='One of these families; patterns such as "qwen3*" work.',
)
@click.option(
    "--modality",
    "modalities",
    type=CommaList(click.STRING, "NAME[,…]"),
    default=(),
    help="Takes all of these beside text: image (or vision), video, audio.",
)
@click.option(
    "--min-context", type=TOKENS, default=None, help="Trained for at least this context, such as 128k."
)
@click.option(
    "--min-params", type=COUNT, default=None, help="At least so many parameters in all, such as 7B."
)
@click.option("--max-params", type=COUNT, default=None, help="At most so many parameters in all.")
@click.option("--moe/--dense", "moe", default=None, help="Only mixtures of experts, or only dense models.")
@click.option(
    "--released-after", metavar="DATE", default=None, help="Released in this year, month or day or later."
)
@click.option(
    "--max-memory",
    type=SIZE,
    default=None,
    help="Weights, cache and compute buffers within this, such as 24GiB.",
)
@click.option(
    "--context", type=TOKENS, default=None, help="Context to size the cache for; 8k with --max-memory."
)
@click.option(
    "--quant",
    type=click.Choice(tuple(BASE_TYPES), case_sensitive=False),
    metavar="PRESET",
    default=None,
    help="GGUF preset to size; the published 4-bit one where there is, else Q4_K_M.",
)
@click.option(
    "--sort", type=click.Choice(SORT_KEYS), default="family", show_default=True, help="Smallest first."
)
@click.option("--reverse", is_flag=True, help="Largest or newest first.")
@format_option
@mendable_errors
def list_command(
    text: tuple[str, ...], licences: tuple[str, ...], families: tuple[str, ...], modalities: tuple[str, ...],
    min_context: int | None, min_params: int | None, max_params: int | None, moe: bool | None,
    released_after: str | None, max_memory: int | None, context: int | None, quant: str | None, sort: SortKey,
    reverse: bool, output_format: str,
) -> None:  # fmt: skip
    """List the models that match; the words of TEXT stand in a name, alias, family or repository.

    \b
    Examples:
      planner models list vision 8b
      planner models list --max-memory 24GiB --context 32k --sort needs --reverse
      planner models list --licence apache-2.0,mit --released-after 2026
    """
    if sort == "needs" and max_memory is None and context is None:
        raise click.UsageError(
            "--sort needs takes --context or --max-memory; --sort size orders by weights alone"
        )
    query = CatalogueQuery(
        text=" ".join(text),
        licences=licences,
        families=families,
        modalities=modalities,
        min_context_tokens=min_context,
        min_parameters=min_params,
        max_parameters=max_params,
        mixture_of_experts=moe,
        released_after=released_after,
        max_memory_bytes=max_memory,
        n_context_tokens=context,
        quant=quant,
    )
    try:
        with patient_progress("Sizing") as progress:
            listing = api.list_models(query, sort=sort, reverse=reverse, progress=progress)
    except ProfileError as error:
        mistyped = get_close_matches(query.text, command.commands, n=1)
        if not mistyped:
            raise
        raise ProfileError(f"{error}; or did you mean the command `planner models {mistyped[0]}`?") from error
    render(models_document(listing, compact=output_format == "table"), output_format)


@command.command("add")
@click.argument("ref")
@click.option("--name", default=None, help="What to call it; its id is made of this.")
@click.option(
    "--alias", "aliases", multiple=True, help="Another name it is found by; may be given several times."
)
@click.option("--family", default=None, help="The family it is listed under.")
@click.option("--force", is_flag=True, help="Take the place of a model of the same id or repository.")
@format_option
@mendable_errors
def add_command(
    ref: str, name: str | None, aliases: tuple[str, ...], family: str | None, force: bool, output_format: str
) -> None:
    """Add a model to your own folder, from its config alone; no weights are downloaded.

    REF is a hub repository ORG/NAME (fetched over the network), a folder with config.json, or a config.json.

    \b
    Example:
      planner models add ORG/NAME --alias mine
    """
    label = Label(name=name, aliases=aliases, family=family)
    render(added_document(api.add_model(ref, label=label, replace=force)), output_format)


@command.command("update")
@click.argument("names", nargs=-1, shell_complete=complete_model)
@click.option("--dry-run", is_flag=True, help="Show what would change, write nothing.")
@format_option
@mendable_errors
def update_command(names: tuple[str, ...], dry_run: bool, output_format: str) -> None:
    """Fetch models from the hub again and show what changed.

    Without NAMES, your own models. A packaged model that is named gets an entry of yours on top of it.

    \b
    Example:
      planner models update --dry-run
    """
    with progress_bar("Fetching") as progress:
        updated = api.update_models(names, dry_run=dry_run, progress=progress)
    render(updated_document(updated, dry_run=dry_run, folder=user_folder() / "models"), output_format)
    failed = [model.id for model in updated if model.problem is not None]
    if failed:
        raise click.ClickException(
            f"{len(failed)} of {len(updated)} could not be fetched: {', '.join(failed)}"
        )


@command.command("remove")
@click.argument("name", shell_complete=complete_model)
@mendable_errors
def remove_command(name: str) -> None:
    """Remove a model from your own folder.

    \b
    Example:
      planner models remove mine
    """
    removed = api.remove_model(name)
    again = "; the packaged model of that id shows again" if removed.uncovers_packaged else ""
    click.echo(f"Removed {removed.id} ({removed.file}){again}.")
