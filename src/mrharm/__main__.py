"""``python -m mrharm``: the same as the ``mrharm`` command, for launchers such as torchrun."""

from mrharm.cli.main import main

if __name__ == "__main__":
    main()
