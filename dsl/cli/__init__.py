"""The command line: `main` dispatches, one lazily imported module a group of commands."""
