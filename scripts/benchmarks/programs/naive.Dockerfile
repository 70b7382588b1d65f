# What one would write first: one stage, everything copied, then installed.
ARG BASE
FROM ${BASE}
WORKDIR /app
COPY . .
RUN pip install -r requirements.txt
CMD ["python", "-m", "flows", "--help"]
