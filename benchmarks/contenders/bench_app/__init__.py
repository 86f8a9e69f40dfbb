"""Actions and triggers of the benchmarks, for flowcontrol."""
