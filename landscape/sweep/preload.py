"""Loaded by workers before they take a task.

Ctrl-C in the terminal reaches local workers too, but it is the driver that decides when they end. The solver is loaded now, which
takes seconds: a worker that is killed meanwhile has no task that would be held responsible.
"""

import signal

import landscape.studies.prevalence  # noqa: F401

signal.signal(signal.SIGINT, signal.SIG_IGN)
