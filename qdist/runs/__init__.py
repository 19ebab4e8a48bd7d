"""The run: jobs, the executor, results, and the command line."""
