"""Every cause of an error, as docs/serving.md tells it."""

from typing import NamedTuple

from rdserve.server.errors import (
    BackendUnavailable,
    DeadlineTooShort,
    Defect,
    FailedModel,
    InvalidRequest,
    MissingCredentials,
    ModelNotReady,
    NumericError,
    OutOfMemory,
    Overloaded,
    StatusError,
    Stopping,
    UnknownMethod,
    UnknownModel,
    WorkerCrashed,
)


class Cause(NamedTuple):
    """A row of the table: what happened, the error that says so, and what rides along with its ErrorInfo."""

    what: str
    error: type[StatusError]
    details: str = ""


CAUSES = (
    Cause(
        "no message; shape, dtype, byte count, grey pixels, NaN; too many rows or samples",
        InvalidRequest,
        "BadRequest: the field, both facts",
    ),
    Cause("no token, or an unknown one", MissingCredentials),
    Cause("no such method", UnknownMethod),
    Cause("no such model", UnknownModel, "ResourceInfo"),
    Cause("the model has failed: its file is broken, or its worker ends at every start", FailedModel),
    Cause(
        "the model is loading or recovering, or the service is starting and may yet find it",
        ModelNotReady,
        "RetryInfo",
    ),
    Cause("the service is stopping", Stopping, "RetryInfo"),
    Cause(
        "the model's worker was lost twice, and not by this request alone", BackendUnavailable, "RetryInfo"
    ),
    Cause("the request was alone with a worker and ended it, after a first try that ended so", WorkerCrashed),
    Cause("queue full", Overloaded, "RetryInfo"),
    Cause("the queue is longer than the caller's deadline", DeadlineTooShort),
    Cause("the request is too large for a worker's memory", OutOfMemory),
    Cause("the model produced NaN or an infinity", NumericError),
    Cause("a bug", Defect, "an id; the log has the traceback under it"),
)
