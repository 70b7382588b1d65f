"""Why an image is not read."""


class Refused(Exception):  # noqa: N818
    """The reason, for people: what follows "the image …" as "it …"."""
