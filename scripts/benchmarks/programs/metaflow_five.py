"""Metaflow: a process a step."""

import five
from metaflow import FlowSpec, Parameter, step


class Five(FlowSpec):
    """The five steps; start and end are Metaflow's own."""

    seed = Parameter("seed")

    @step
    def start(self):
        self.value = five.get_data(self.seed)
        self.next(self.preprocess)

    @step
    def preprocess(self):
        self.value = five.preprocess(self.value)
        self.next(self.train)

    @step
    def train(self):
        self.value = five.train(self.value)
        self.next(self.evaluate)

    @step
    def evaluate(self):
        self.value = five.evaluate(self.value)
        self.next(self.end)

    @step
    def end(self):
        print(five.upload_model(self.value))


if __name__ == "__main__":
    Five()
