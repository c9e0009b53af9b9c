"""Real farms under real faults, and the same questions to the store afterwards."""
