"""`python -m landscape`: the command line, for where no script is on the path."""

from landscape.cli import main

if __name__ == "__main__":
    main()
