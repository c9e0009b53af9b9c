"""Pure rules: what a job is, what may follow what, who can run it. Imports nothing but errors."""
