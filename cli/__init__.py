"""The command `rdserve`. Only the command that runs is imported, and only its extra is needed."""


def main() -> None:
    """Run the command line."""
    from rdserve.cli.group import app

    app()
