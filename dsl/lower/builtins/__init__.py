"""The built-in functions, in tables by subject. Importing this package fills `registry.BUILTINS`."""
