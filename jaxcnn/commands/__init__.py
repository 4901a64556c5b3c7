"""The `jaxcnn` command: one file for each subcommand."""
