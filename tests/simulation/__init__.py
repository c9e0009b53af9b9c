"""The whole farm in one process on a clock of its own: real masters, workers and store, and a nemesis by seed."""
