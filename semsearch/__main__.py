"""`python -m semsearch`, and `torchrun -m semsearch` for several GPUs."""

from semsearch.cli import main

if __name__ == "__main__":
    main()
