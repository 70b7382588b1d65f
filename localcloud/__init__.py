"""Google Cloud, AWS and GitHub in one local process, reached by unmodified clients through a proxy."""
