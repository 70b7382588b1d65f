"""What only a person's machine does: the local cloud's world, the working tree's way into it, `run`."""
