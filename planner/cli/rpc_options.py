"""Options of layers on other machines, reached over a network by llama.cpp's RPC servers, and of that network."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hardware.errors import DescriptionError
from hardware.remote import LentMachines, parse_network

F = TypeVar("F", bound=Callable[..., Any])


def rpc_options(command: F) -> F:
    """--rpc and --network, as one `lent`."""

    @click.option("--rpc", "machines", metavar="MACHINE", multiple=True,
                  help="A machine whose GPUs hold layers too, lent by rpc-server; described as for --on.")  # fmt: skip
    @click.option("--network", metavar="RATE ROUNDTRIP", default=None,
                  help='The network to them, or between the machines of vllm and sglang: its rate for each machine and the time '
                       'of a round trip, such as "10GbE 0.2ms".')  # fmt: skip
    @functools.wraps(command)
    def wrapped(*args: Any, machines: tuple[str, ...], network: str | None, **kwargs: Any) -> Any:
        serving = kwargs.get("serving")
        joins = serving is not None and serving.is_serving and not machines
        if bool(machines) != (network is not None) and not joins:
            raise click.UsageError(
                "--rpc MACHINE and --network RATE ROUNDTRIP go together: how long a token waits depends on both"
            )
        lent = None
        if network is not None:
            try:
                lent = LentMachines(machines=machines, network=parse_network(network))
            except DescriptionError as error:
                raise click.UsageError(str(error)) from error
        return command(*args, lent=lent, **kwargs)

    return wrapped  # type: ignore[return-value]
