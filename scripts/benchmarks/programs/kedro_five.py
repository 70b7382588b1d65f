"""Kedro: a pipeline of nodes, all in one process."""

import logging
import sys

import five
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner

logging.basicConfig(level=logging.INFO)
names = ["seed", *(step.__name__ for step in five.STEPS)]
nodes = [
    node(step, given, made) for step, given, made in zip(five.STEPS, names, names[1:], strict=False)
]
catalog = DataCatalog({"seed": MemoryDataset(sys.argv[1])})
print(SequentialRunner().run(pipeline(nodes), catalog)["upload_model"].load())
