# Two stages: build the wheel, then a slim runtime without a compiler. CPU; mount a model store at /models.
#   docker build -t rdserve .
#   docker run --rm -p 127.0.0.1:50051:50051 -v "$PWD/zoo/digits:/models:ro" rdserve
FROM python:3.11-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md ./
COPY proto proto
COPY data data
COPY models models
COPY trainer trainer
COPY server server
COPY client client
COPY compare compare
COPY cli cli
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# PyTorch's own index has builds without CUDA, several GB smaller.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" "$(echo /wheels/*.whl)[server]" \
    && useradd --create-home rdserve
USER rdserve
STOPSIGNAL SIGTERM
EXPOSE 50051
ENTRYPOINT ["rdserve"]
CMD ["serve", "--models", "/models"]
