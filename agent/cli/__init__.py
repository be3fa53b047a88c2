"""The command `caselink`. Every command says what it did, or what is wrong and what to do now.

Exit status: 0 done, 1 refused or failed, 2 not understood.
"""

from agent.cli.entry import app, main

__all__ = ["app", "main"]
