"""What `gpu_check.sh` runs on a machine with a GPU: checks and measurements, each in its own process."""
