"""Exceptions -> google.rpc.Status, in one place."""

import logging
import uuid

from google.protobuf.any_pb2 import Any
from google.rpc.status_pb2 import Status
from rdserve.server.errors import Defect, StatusError

log = logging.getLogger(__name__)


def as_service_error(error: Exception, method: str) -> StatusError:
    """What the caller sees of it: a bug's traceback goes into the log, under the id that the caller gets."""
    if isinstance(error, StatusError):
        return error
    error_id = uuid.uuid4().hex[:12]
    log.error("internal error %s in %s", error_id, method, exc_info=error)
    return Defect(error_id)


def to_status(error: StatusError) -> Status:
    """The error as google.rpc.Status."""
    status = Status(code=error.status.value[0], message=error.message)
    for detail in error.details():
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
