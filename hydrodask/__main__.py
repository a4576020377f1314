"""`python -m hydrodask`, and the command `hydrodask`.

Each worker process imports the main module of the driver that has started it: so this one imports nothing by itself.
"""


def main() -> None:
    """Run the command line and exit with its code."""
    from hydrodask.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
