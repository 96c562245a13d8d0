"""The planner's own errors, as a tree.

    ProfileError (profiles.errors)      a profile row is missing, malformed or contradicts itself
    HardwareError (hardware.errors)     a machine could not be inspected or described
    PlannerError                        everything else a person can put right
    ├── ReadError                       a model file, folder, repository or server could not be read
    │   ├── NotFoundError               there is nothing at that path, id or tag
    │   ├── MalformedError              the bytes are not what their format promises (truncated, absurd sizes)
    │   ├── AccessError                 gated, private, or not authorised
    │   └── UnreachableError            network, server or time-out
    ├── UnknownArchitectureError        a model part that the planner does not understand, by name
    ├── MissingFactError                a needed fact is unknown; the message says how to supply it
    ├── BenchError                      the engine is absent, crashed, ran out of memory or time
    └── PriceError                      no price is known for what was asked

Each message is one line: what was asked, what was found, what to do next. A bug is never one of these.
"""

from hardware.errors import HardwareError
from profiles.errors import ProfileError


class PlannerError(Exception):
    """The root of what a person can put right."""


class ReadError(PlannerError):
    """A model file, folder, repository or server could not be read."""


class NotFoundError(ReadError):
    """There is nothing at that path, id or tag."""


class MalformedError(ReadError):
    """The bytes are not what their format promises."""


class AccessError(ReadError):
    """Gated, private, or not authorised."""


class UnreachableError(ReadError):
    """The network, a server or a time-out stood between."""


class UnknownArchitectureError(PlannerError):
    """A part of the model that the planner does not understand, by name."""


class MissingFactError(PlannerError):
    """A fact that the answer needs is unknown; the message says how to supply it."""


class BenchError(PlannerError):
    """The engine is absent, crashed, ran out of memory or time."""


class PriceError(PlannerError):
    """No price is known for what was asked."""


USER_ERRORS: tuple[type[Exception], ...] = (PlannerError, HardwareError, ProfileError)
