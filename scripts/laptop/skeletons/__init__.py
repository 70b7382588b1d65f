"""What `./scripts/new-flow` writes: one working flow a kind, that tests run where it stands."""
