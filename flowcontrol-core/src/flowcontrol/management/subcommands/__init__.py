"""What the subcommands do: a module per group, imported by name when one of its subcommands is chosen."""
