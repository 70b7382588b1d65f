"""The prediction server: `python -m flows serve`, any flow, by Vertex AI's custom container contract."""
