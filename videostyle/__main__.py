"""`python -m videostyle`."""

from videostyle.cli import entry

if __name__ == "__main__":  # the processes that batch starts import this module
    entry()
