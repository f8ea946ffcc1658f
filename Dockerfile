# videostyle on the CPU.
#
#   docker build -t videostyle .
#   docker run --rm --user "$(id -u)" -v "$PWD":/films videostyle stylize film.mp4 -o painted.mp4 --style great-wave
FROM python:3.13-slim

# PyAV brings FFmpeg along, and OpenCV without windows needs nothing of the system.
RUN useradd --create-home --uid 1000 painter

# torch as PyPI has it brings gigabytes for GPUs; of two equal versions pip takes the one marked +cpu.
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY videostyle videostyle
COPY models models
COPY samples/harbour.mp4 samples/harbour.mp4
RUN pip install .

USER 1000
WORKDIR /films
ENTRYPOINT ["videostyle"]
CMD ["--help"]
