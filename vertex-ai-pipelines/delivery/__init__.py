"""What runs in GitHub Actions and on a laptop: compile, submit, release, deploy."""
