"""`python -m hydrodask`, and the command `hydrodask`.

Each worker process imports the main module of the driver that has started it: so this one imports nothing by itself.
"""


def main() -> None:
    """Run the command line and exit with its code. Ctrl-C ends it at any stage without a trace."""
    import signal

    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell's background jobs do not
    if listens:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as long as there is nothing to end in order
    from hydrodask.cli.main import main as command_line

    try:
        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line()
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        if listens:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
