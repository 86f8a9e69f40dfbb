"""Executes runs in a thread of the process that started them."""
