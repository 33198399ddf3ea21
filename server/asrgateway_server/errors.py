"""Everything that may end a call early, as one family."""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """A call ends, and its client gets the reason.

    Attributes:
        reason: What happened, from a closed set: ``ErrorInfo.reason`` on the wire.
        message: One or two plain sentences for the client: what was wrong and what would be right. Never holds a
            transcript, a hot word or a key.
        field: The field of the request that is at fault, as a path; empty if none is.
        retry_after_seconds: When trying again may help; None if it will not.
        upstream_code: The vendor's own code, where one was given.
        upstream_request_id: The vendor's name for the task, where there was one.
    """

    reason: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        retry_after_seconds: float | None = None,
        upstream_code: str = "",
        upstream_request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.upstream_code = upstream_code
        self.upstream_request_id = upstream_request_id


class InvalidRequest(GatewayError):
    """A message is wrong, whatever our state; the client must change it."""

    reason = "INVALID_REQUEST"


class UndecodableAudio(GatewayError):
    """The audio is not what the config says it is."""

    reason = "UNDECODABLE_AUDIO"


class UnknownModel(GatewayError):
    """No such model or alias here."""

    reason = "UNKNOWN_MODEL"


class UnsupportedOption(GatewayError):
    """The model cannot honour an option, and the client insists (``strict``)."""

    reason = "UNSUPPORTED_OPTION"


class NotBuiltYet(GatewayError):
    """The contract knows it, this version does not."""

    reason = "NOT_BUILT_YET"


class ClientStalled(GatewayError):
    """The client neither sent nor read what was due for too long."""

    reason = "CLIENT_STALLED"


class Overloaded(GatewayError):
    """No room for this call now; another try later may find some."""

    reason = "OVERLOADED"


class ClientLimitReached(GatewayError):
    """The client has taken as much as one may; what it is refused now it may have later."""

    reason = "CLIENT_LIMIT_REACHED"


class Unauthenticated(GatewayError):
    """The client shows no key, or one that is not known: to the gateway, or to the vendor if it brought its own."""

    reason = "UNAUTHENTICATED"


class Draining(GatewayError):
    """This gateway is stopping; the client goes on at another one."""

    reason = "DRAINING"


class StreamExpired(GatewayError):
    """The call has lasted as long as one may; the client goes on in a new one."""

    reason = "STREAM_EXPIRED"


class UpstreamLost(GatewayError):
    """The connection to the backend dropped or stalled; the call's policy decides what follows."""

    reason = "UPSTREAM_LOST"


class UpstreamEnded(UpstreamLost):
    """The vendor ended a task by itself, at a limit of its own, though nothing was wrong with it."""


class AudioLost(GatewayError):
    """Audio is lost to the call, which was asked to end in this case (``fail_on_audio_loss``)."""

    reason = "AUDIO_LOST"


class UpstreamUnavailable(GatewayError):
    """The backend is gone and could not be brought back; another try later may find it."""

    reason = "UPSTREAM_UNAVAILABLE"


class UpstreamRefused(GatewayError):
    """The vendor rejected our key, the model, the account or a parameter; an operator must act.

    Attributes:
        is_about_request: What the client asks for is at fault, so that any model would refuse it.
    """

    reason = "UPSTREAM_REFUSED"

    def __init__(
        self,
        message: str,
        *,
        is_about_request: bool = False,
        retry_after_seconds: float | None = None,
        upstream_code: str = "",
        upstream_request_id: str = "",
    ) -> None:
        super().__init__(
            message,
            retry_after_seconds=retry_after_seconds,
            upstream_code=upstream_code,
            upstream_request_id=upstream_request_id,
        )
        self.is_about_request = is_about_request


class UpstreamProtocolError(GatewayError):
    """The backend broke its own rules."""

    reason = "UPSTREAM_PROTOCOL_ERROR"


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of a task group that the function's caller should see: ours before anything else."""
    leaves = [leaf for error in group.exceptions for leaf in _leaves(error)]
    return next((leaf for leaf in leaves if isinstance(leaf, GatewayError)), leaves[0])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
