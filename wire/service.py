"""The service's full name: in calls' paths, in reflection, in health checks."""

from rdserve.v1 import vae_pb2

SERVICE: str = vae_pb2.DESCRIPTOR.services_by_name["VaeService"].full_name
