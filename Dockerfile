# The one image: every step of every flow runs from it, and the prediction server.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS packages
WORKDIR /build
RUN pip install --no-cache-dir poetry==2.5.1 poetry-plugin-export==1.10.1
COPY pyproject.toml poetry.lock ./
# Compiled, or every step's start would cost seconds; by hash, so that no time gets into the image.
RUN poetry export --only main --output requirements.txt \
 && pip install --no-cache-dir --no-compile --require-hashes --prefix /packages --requirement requirements.txt \
 && python -m compileall -q --invalidation-mode unchecked-hash /packages

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin retrain
COPY --from=packages /packages /usr/local
WORKDIR /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1
COPY vertex-ai-pipelines/flows /app/flows
USER 10001
# Not ENTRYPOINT: Vertex AI passes a step's whole command.
CMD ["python", "-m", "flows", "--help"]
