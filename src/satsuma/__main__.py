"""`python -m satsuma` is `satsuma`."""

from satsuma.cli.main import main

main()
