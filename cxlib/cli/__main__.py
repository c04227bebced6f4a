"""``python -m cxlib.cli`` is `cx`."""

from cxlib.cli.app import main

if __name__ == "__main__":
    main()
