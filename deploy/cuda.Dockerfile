# dmdd-edge on an NVIDIA GPU of an x86-64 machine: ONNX Runtime with CUDA, and TensorRT 11.4 where it was
# fetched (make wheelhouse TARGET=cuda-x86 INDEX=https://pypi.nvidia.com). No compiler, no pip, no root.
#
#   make wheelhouse TARGET=cuda-x86
#   docker build -f deploy/cuda.Dockerfile -t dmdd-edge:cuda .
#   docker run --gpus all dmdd-edge:cuda
#
# Has run: nothing. The wheels have been resolved; the steps are those of cpu.Dockerfile, which have run.

FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 AS build
ARG TARGET=cuda-x86
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
COPY build/wheelhouse/${TARGET} /wheelhouse
RUN --network=none python3 -m venv /opt/dmdd-edge
RUN --network=none /opt/dmdd-edge/bin/pip install --no-index --find-links /wheelhouse --no-deps --require-hashes -r /wheelhouse/requirements.txt
RUN --network=none /opt/dmdd-edge/bin/pip uninstall --yes pip

FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/dmdd-edge /opt/dmdd-edge
RUN --network=none useradd --system --uid 10001 --create-home --groups video dmdd-edge && install -d -o dmdd-edge /data
ENV PATH=/opt/dmdd-edge/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /data
USER dmdd-edge
ENTRYPOINT ["dmdd-edge"]
CMD ["doctor"]
