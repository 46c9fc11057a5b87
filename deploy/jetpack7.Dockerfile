# dmdd-edge on a Jetson with JetPack 7.2.2 or newer: CUDA 13 of NVIDIA's image for ARM64, TensorRT 10.16 as plain ARM64
# wheels (INDEX=https://pypi.nvidia.com fetches them). No compiler, no pip, no root.
# OpenCV is pip's: csi:// cameras need an install on the Jetson itself (docs/install.md).
#
#   make wheelhouse TARGET=jp7 INDEX=https://pypi.nvidia.com
#   docker build -f deploy/jetpack7.Dockerfile -t dmdd-edge:jp7 .
#   docker run --runtime nvidia dmdd-edge:jp7
#
# Has run: nothing. The wheels have been resolved, without TensorRT.

FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04 AS build
ARG TARGET=jp7
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
COPY build/wheelhouse/${TARGET} /wheelhouse
RUN --network=none python3 -m venv /opt/dmdd-edge
RUN --network=none /opt/dmdd-edge/bin/pip install --no-index --find-links /wheelhouse --no-deps --require-hashes -r /wheelhouse/requirements.txt
RUN --network=none /opt/dmdd-edge/bin/pip uninstall --yes pip

FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/dmdd-edge /opt/dmdd-edge
RUN --network=none useradd --system --uid 10001 --create-home --groups video dmdd-edge && install -d -o dmdd-edge /data
ENV PATH=/opt/dmdd-edge/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /data
USER dmdd-edge
ENTRYPOINT ["dmdd-edge"]
CMD ["doctor"]
