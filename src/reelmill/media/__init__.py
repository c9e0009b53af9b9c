"""The files of jobs: inputs, attempt folders, and the step that puts an output into its place."""
