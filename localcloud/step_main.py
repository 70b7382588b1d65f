"""Runs kfp's executor in a step, with /gcs/ where this machine keeps the buckets' files."""

import os

from kfp.dsl import executor_main
from kfp.dsl.types import artifact_types

artifact_types._GCS_LOCAL_MOUNT_PREFIX = os.environ["LOCALCLOUD_GCS"]
executor_main.executor_main()
