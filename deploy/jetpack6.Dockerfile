# dmdd-edge on a Jetson with JetPack 6: Python 3.10, CUDA 12.6 and TensorRT 10.3 of NVIDIA's image, OpenCV of JetPack's
# package index, which has GStreamer. No compiler, no root.
#
#   make wheelhouse TARGET=jp6
#   docker build -f deploy/jetpack6.Dockerfile -t dmdd-edge:jp6 .
#   docker run --runtime nvidia dmdd-edge:jp6
#
# Has run: nothing. The wheels have been resolved. Whether the package index in the image has python3-opencv with
# GStreamer has not been seen: the container's own `doctor` says so.

FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime AS build
ARG TARGET=jp6
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
COPY build/wheelhouse/${TARGET} /wheelhouse
RUN --network=none python3 -m venv --system-site-packages /opt/dmdd-edge
RUN --network=none /opt/dmdd-edge/bin/pip install --no-index --find-links /wheelhouse --no-deps --require-hashes -r /wheelhouse/requirements.txt
RUN --network=none /opt/dmdd-edge/bin/pip uninstall --yes pip setuptools

FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-opencv ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/dmdd-edge /opt/dmdd-edge
RUN --network=none useradd --system --uid 10001 --create-home --groups video dmdd-edge && install -d -o dmdd-edge /data
ENV PATH=/opt/dmdd-edge/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /data
USER dmdd-edge
ENTRYPOINT ["dmdd-edge"]
CMD ["doctor"]
