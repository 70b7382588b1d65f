"""What a team writes without any of it: FastAPI on uvicorn, and a pickled model beside the program."""

import os
import pickle
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from model import PICKLE

app = FastAPI()
model = pickle.loads(Path(PICKLE).read_bytes())  # noqa: S301


@app.get("/health")
def health() -> dict[str, str]:
    """That it runs."""
    return {"status": "ok"}


@app.post("/predict")
async def predict(request: dict[str, Any]) -> dict[str, Any]:
    """Predictions."""
    return {"predictions": model.predict(request["instances"]).tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["AIP_HTTP_PORT"]), log_level="warning")
