"""What a team writes without any of it: FastAPI on uvicorn, and a pickled model beside the program."""

import os
from typing import Any

import joblib
import uvicorn
from fastapi import FastAPI
from model import PICKLE

app = FastAPI()
model = joblib.load(PICKLE)


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
