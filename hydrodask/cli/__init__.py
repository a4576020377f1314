"""The command line: arguments in, exit code out. One small module a command, each with `add_to(app)`."""
