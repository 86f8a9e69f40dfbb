"""An app of the fault tests alone: actions that write here, and actions that call an outside world."""
