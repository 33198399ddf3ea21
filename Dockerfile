# The base image has no default digest on purpose: a build names the one that it trusts, and the image's labels tell it.
#
#   BASE=docker.io/library/python:3.11-slim-bookworm
#   docker buildx imagetools inspect $BASE --format '{{.Manifest.Digest}}'     # look it up, and write it down
#   docker build --build-arg BASE_DIGEST=sha256:... --build-arg REVISION=$(git rev-parse HEAD) -t asr-gateway:0.1.0 .
#
# Add --platform linux/amd64,linux/arm64 --sbom=true --provenance=true for a release.
ARG BASE_DIGEST

# Stage 1: libraries, each with the hash that the lock names, and the two distributions of this repository.
FROM docker.io/library/python:3.11-slim-bookworm@${BASE_DIGEST} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY server/requirements.txt server/requirements.txt
RUN python -m venv --without-pip /opt/asr-gateway \
    && python -m pip --python /opt/asr-gateway/bin/python install \
        --require-hashes --only-binary :all: --no-compile -r server/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY clients/python clients/python
COPY clients/web clients/web
COPY server/asrgateway_server server/asrgateway_server
COPY server/dashscope_emulator server/dashscope_emulator
RUN python -m pip --python /opt/asr-gateway/bin/python wheel \
        --no-deps --no-build-isolation --wheel-dir /wheels ./clients/python . \
    && python -m pip --python /opt/asr-gateway/bin/python install \
        --no-deps --no-index --no-compile /wheels/*.whl \
    && /opt/asr-gateway/bin/python -m compileall -q -j 0 /opt/asr-gateway/lib

# Stage 2: nothing but Python and the gateway.
FROM docker.io/library/python:3.11-slim-bookworm@${BASE_DIGEST}
ARG BASE_DIGEST
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="asr-gateway" \
      org.opencontainers.image.description="Speech recognition over gRPC, in front of realtime recognisers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
COPY --from=build /opt/asr-gateway /opt/asr-gateway
ENV ASRGATEWAY_REVISION=${REVISION} \
    PATH=/opt/asr-gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 10001:10001
EXPOSE 50051 50052 9464
# For Docker and Podman; Kubernetes asks the health port itself. A health_listen in a configuration file has to be named here.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-m", "asrgateway_server.grpc_api.probe"]
ENTRYPOINT ["asr-gateway"]
CMD ["serve"]
