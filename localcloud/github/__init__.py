"""A local GitHub: real git behind GitHub's own REST API."""

from localcloud.github.service import GitHub

__all__ = ["GitHub"]
