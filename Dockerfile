# All commands of this project, on a CPU or, built with EXTRA=gpu, on an NVIDIA GPU; see docs/training.md.
#
#     docker build --tag dcgan-faces .
#     docker build --tag dcgan-faces:gpu --build-arg EXTRA=gpu .
FROM debian:trixie-slim

# Extras of setup.py, e.g. gpu or gpu,video
ARG EXTRA=""

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv \
    && useradd --create-home --uid 1000 dcgan \
    && install --directory --mode=1777 /dcgan/runs /cache

# The driver of an NVIDIA GPU comes from the host; the rest of CUDA is among the dependencies.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

WORKDIR /dcgan

# setup.py installs dependencies only, so a change of the code does not install them again.
COPY setup.py ./
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".${EXTRA:+[$EXTRA]}"
COPY . .

USER 1000
VOLUME ["/dcgan/runs", "/cache"]
CMD ["python", "train.py"]
