"""Breaking the farm on purpose: each promise's guard is taken away, and a test must go red."""
