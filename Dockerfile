# The one image of a dependency group: every step of every flow runs from it, and the prediction server.
# Four stages, because they change at different times: base, packages, what stands below the flows, the flows.
FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254 AS base
# Not empty: buildah leaves an empty stage's container mounted.
ENV PYTHONUNBUFFERED=1

FROM base AS packages
ENV PYTHONHASHSEED=0 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /poetry \
 && /poetry/bin/pip install poetry==2.5.1 poetry-plugin-export==1.10.1
WORKDIR /build
COPY pyproject.toml poetry.lock ./
COPY vertex-ai-pipelines/requirements requirements
# The groups of the lock: "main" for base, "main,lightgbm" for lightgbm; and the name of the file of packages
# that poetry cannot lock: "torch" for torch, which is main and that file.
ARG DEPENDENCY_GROUPS=main
ARG REQUIREMENTS=
# Wheels alone, by hash: nothing is compiled and no package's program runs. Modules are compiled, or every
# step's start would cost seconds; by hash, so that no time gets into the image. Left out: what only a test,
# a compiler or a C program reads; and Arrow's own clients of Flight and S3 and boto3's other services, which
# no step reaches on a laptop either. docs/image.md says what that saves. Linked: GNU's OpenMP, which LightGBM
# looks for in the system, and the base does not have. Not compiled: torch's modules for newer Pythons, which none
# but those import.
RUN /poetry/bin/poetry export --only "$DEPENDENCY_GROUPS" --output requirements.txt \
 && { [ -z "$REQUIREMENTS" ] || cat "requirements/$REQUIREMENTS.txt" >> requirements.txt; } \
 && python3 -m venv --without-pip /packages \
 && /poetry/bin/pip --python /packages/bin/python3 install --no-compile --only-binary :all: \
    --require-hashes --requirement requirements.txt \
 && find /packages/lib -type d \( -name tests -o -name include -o -path '*/onnx/backend/test' -o -path '*/joblib/test' \
    -o -path '*/botocore/data/*' ! -path '*/data/s3' ! -path '*/data/s3/*' ! -path '*/data/sts' ! -path '*/data/sts/*' \) \
    -prune -exec rm -r {} + \
 && find /packages/lib -type f \( -name '*.[ach]' -o -name '*.cc' -o -name '*.[ch]pp' -o -name '*.pyx' -o -name '*.px[di]' \
    -o -name '*.tp' -o -name conftest.py -o -path '*/onnxruntime/capi/libonnxruntime.so.*' \
    -o -path '*/pyarrow/*_cpp_tests*' -o -path '*/pyarrow/*flight*' -o -path '*/pyarrow/*_s3*' \
    -o -path '*/pyarrow/libarrow_*.so' -o -path '*/pyarrow/libarrow_*.so.*.*.*' \) -delete \
 && ln -s /packages/lib/python3.*/site-packages/scikit_learn.libs/libgomp-*.so* /packages/lib/libgomp.so.1 \
 && /packages/bin/python3 -m compileall -q -x '/py3[0-9][0-9]_[^/]*$' --invalidation-mode unchecked-hash /packages

FROM base AS runtime
# Not useradd: it writes the day into the image.
RUN echo "retrain:x:10001:10001::/tmp:/usr/sbin/nologin" >> /etc/passwd
COPY --from=packages /packages /packages
WORKDIR /app
ENV PATH=/packages/bin:/usr/local/bin:/usr/bin:/bin PYTHONPATH=/app LD_LIBRARY_PATH=/packages/lib

# Copies alone: ./scripts/build puts this layer on the others without a container engine.
FROM runtime
COPY vertex-ai-pipelines/flows /app/flows
USER 10001
# Not ENTRYPOINT: Vertex AI passes a step's whole command.
CMD ["python", "-m", "flows", "--help"]
