"""`python -m diffbgm` is the command `diffbgm`."""

from diffbgm.cli import main

if __name__ == "__main__":
    main()
