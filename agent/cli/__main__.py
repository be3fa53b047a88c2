"""`python -m agent.cli`: the command where it is not installed."""

from agent.cli.entry import main

main()
