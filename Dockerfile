# Targets: cpu (the default) and gpu. How to run them: docs/deploy.md. How this file is proven: deploy/prove-image.
#   docker build -t rdserve:cpu .
#   docker build -t rdserve:gpu --target gpu .
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
# Versions come from the base image's Debian release; pinning them would break with its next point release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY proto proto
COPY wire wire
COPY data data
COPY models models
COPY trainer trainer
COPY server server
COPY client client
COPY compare compare
COPY study study
COPY loadtest loadtest
COPY cli cli
COPY zoo zoo
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv /opt/rdserve

FROM build AS install-cpu
# PyTorch's own index has builds without CUDA, several GB smaller.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_VERSION=2.13.0
RUN /opt/rdserve/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch==$TORCH_VERSION" \
    && /opt/rdserve/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[server,http,tracing]"

FROM build AS install-gpu
# PyPI's torch for Linux brings CUDA's libraries; the driver comes from the host.
RUN /opt/rdserve/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[server,http,tracing,gpu]"

FROM ${PYTHON} AS runtime
# Group 0 owns what is written to: platforms that give each container a user id of its own keep that group.
RUN useradd --uid 10001 --gid 0 --no-create-home --home-dir /var/lib/rdserve --shell /usr/sbin/nologin rdserve \
    && install --directory --owner=10001 --group=0 --mode=0770 /var/lib/rdserve
COPY --from=build /usr/bin/tini-static /usr/bin/tini
# A folder to bake in: --build-arg MODELS=zoo/digits. Or mount a store at /models.
ARG MODELS=deploy/models
COPY ${MODELS} /models/
# Beyond loopback the service asks for TLS and tokens; deploy/loopback.env turns them off.
# These are paths, not secrets.
# hadolint ignore=DL3064
ENV PATH=/opt/rdserve/bin:$PATH \
    HOME=/var/lib/rdserve \
    USER=rdserve \
    TMPDIR=/tmp \
    PYTHONUNBUFFERED=1 \
    RDSERVE_SERVE_MODELS=/models \
    RDSERVE_SERVE_HOST=0.0.0.0 \
    RDSERVE_SERVE_METRICS_HOST=0.0.0.0 \
    RDSERVE_SERVE_METRICS_PORT=9464 \
    RDSERVE_SERVE_TLS_CERT=/run/secrets/rdserve/tls.crt \
    RDSERVE_SERVE_TLS_KEY=/run/secrets/rdserve/tls.key \
    RDSERVE_TOKENS_FILE=/run/secrets/rdserve/tokens \
    RDSERVE_HEALTH_TLS_CA=/run/secrets/rdserve/ca.crt
USER 10001:0
WORKDIR /var/lib/rdserve
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["rdserve", "health"]
ENTRYPOINT ["tini", "--", "rdserve"]
CMD ["serve"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rdserve" \
      org.opencontainers.image.description="Latent-variable models in the rate-distortion plane, served over gRPC" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM runtime AS gpu
COPY --from=install-gpu /opt/rdserve /opt/rdserve

FROM runtime AS cpu
COPY --from=install-cpu /opt/rdserve /opt/rdserve
