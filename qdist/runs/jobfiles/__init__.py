"""Job files: TOML text becomes a job, or one sentence that says what is wrong and where."""
