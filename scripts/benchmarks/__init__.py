"""The measurements behind every number in the docs, side by side with what a user would pick instead."""
