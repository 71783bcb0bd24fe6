"""`python -m connector` is `gcal-salesloft`."""

from connector.cli import main

if __name__ == "__main__":
    main()
