"""``python -m syper_data`` is ``syper-data``."""

from syper_data.cli.main import main

if __name__ == "__main__":
    main()
