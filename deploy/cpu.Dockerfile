# dmdd-edge on a CPU: x86-64 (TARGET=cpu-x86) or ARM64 (TARGET=cpu-arm64). Lean runtime, no compiler, no pip, no root.
#
#   make wheelhouse TARGET=cpu-x86
#   docker build -f deploy/cpu.Dockerfile --build-arg TARGET=cpu-x86 -t dmdd-edge:cpu .
#
# Has run: the steps of x86-64, by deploy/try_in_root.sh, in a Debian 12 root, those with --network=none without one.
# Has not run: a container engine on this file; ARM64 at all.

FROM debian:bookworm-slim AS build
ARG TARGET=cpu-x86
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
COPY build/wheelhouse/${TARGET} /wheelhouse
RUN --network=none python3 -m venv /opt/dmdd-edge
RUN --network=none /opt/dmdd-edge/bin/pip install --no-index --find-links /wheelhouse --no-deps --require-hashes -r /wheelhouse/requirements.txt
RUN --network=none /opt/dmdd-edge/bin/pip uninstall --yes pip setuptools

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/dmdd-edge /opt/dmdd-edge
RUN --network=none useradd --system --uid 10001 --create-home --groups video dmdd-edge && install -d -o dmdd-edge /data
ENV PATH=/opt/dmdd-edge/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /data
USER dmdd-edge
ENTRYPOINT ["dmdd-edge"]
CMD ["doctor"]
