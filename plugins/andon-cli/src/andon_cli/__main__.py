"""``python -m andon_cli`` is the same as ``andon``."""

from andon_cli.main import main

if __name__ == "__main__":
    main()
