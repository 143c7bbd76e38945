"""``python -m gradgate``."""

from gradgate.cli.main import main

if __name__ == "__main__":
    main(prog_name="gradgate")
