"""What the Hugging Face client raises, said in the planner's own errors: one line, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from planner.errors import AccessError, MalformedError, NotFoundError, ReadError, UnreachableError
from planner.quoting import quoted


@contextmanager
def hub_errors(what: str, *, repo_id: str, host: str, timeout_s: float) -> Iterator[None]:
    """Turn the client's errors while it fetches `what` into AccessError, NotFoundError and their like.

    Imports huggingface_hub, which is heavy: use it only where the client is used anyway.
    """
    from huggingface_hub import errors

    # The client has changed its HTTP library between versions; all of its errors derive from this base.
    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    try:
        yield
    except errors.HFValidationError as error:
        raise NotFoundError(f"{quoted(repo_id)} is not the id of a hub repository; write ORG/NAME") from error
    except (http_error, OSError, errors.EntryNotFoundError) as error:
        raise _translated(error, what, repo_id=repo_id, host=host, timeout_s=timeout_s) from error


def status_error(status: int, what: str, *, repo_id: str, host: str) -> ReadError:
    """The error for an HTTP status that is not success."""
    if status in (401, 403):
        return AccessError(
            f"{host} refused {what} of {quoted(repo_id)} (HTTP {status}): it is gated or private; "
            f"accept its licence on https://huggingface.co/{repo_id}, then set HF_TOKEN to your token"
        )
    if status in (404, 410):
        return NotFoundError(f"{host} has no {what} of {quoted(repo_id)} (HTTP {status}); check the names")
    if status == 429:
        return UnreachableError(
            f"{host} limits the rate of requests (HTTP 429); set HF_TOKEN or wait a few minutes"
        )
    return UnreachableError(f"{host} answered HTTP {status} for {what} of {quoted(repo_id)}; try again later")


def _translated(error: Exception, what: str, *, repo_id: str, host: str, timeout_s: float) -> ReadError:
    from huggingface_hub import errors

    repo = quoted(repo_id)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return UnreachableError(
            f"{what} of {repo} cannot be fetched: HF_HUB_OFFLINE is set; unset it, or name a local path"
        )
    if isinstance(error, errors.GatedRepoError):
        return AccessError(
            f"{repo} is gated: accept its licence on https://huggingface.co/{repo_id}, "
            "then set HF_TOKEN to a token of that account"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(
            f"{host} has no repository {repo}, or it is private; check the name, or set HF_TOKEN to see private ones"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(f"{repo} has no such revision; name a branch, tag or commit of it")
    if isinstance(error, errors.LocalEntryNotFoundError):
        # The client says this of everything that kept it from the hub; the true reason is the cause, if any.
        cause = error.__cause__
        if isinstance(cause, Exception) and not isinstance(cause, errors.OfflineModeIsEnabled):
            return _translated(cause, what, repo_id=repo_id, host=host, timeout_s=timeout_s)
        return UnreachableError(
            f"{what} of {repo} is not in the local cache, and HF_HUB_OFFLINE forbids fetching it; "
            "unset it, or name a local path"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return NotFoundError(
            f"{repo} holds no {what}; list its files on https://huggingface.co/{repo_id}/tree/main"
        )
    if isinstance(error, errors.HfHubHTTPError):
        return status_error(error.response.status_code, what, repo_id=repo_id, host=host)
    if isinstance(error, errors.FileMetadataError):
        return MalformedError(f"{host} does not answer like a Hugging Face hub; check HF_ENDPOINT")
    if any(kind.__name__ == "TimeoutException" for kind in type(error).__mro__):
        return UnreachableError(
            f"{host} did not answer within {timeout_s:g} s while fetching {what} of {repo}; "
            "check the network, or name a local path"
        )
    if isinstance(error, PermissionError):
        return AccessError(
            f"the Hugging Face cache cannot be used ({error.strerror}); set HF_HOME to a writable folder"
        )
    if isinstance(error, OSError):
        return ReadError(
            f"{what} of {repo} could not be stored in the cache: {error.strerror or type(error).__name__}"
        )
    return UnreachableError(
        f"{host} cannot be reached, or broke off, for {what} of {repo} ({type(error).__name__}); check the network, or name a local path"
    )
