"""What `gpu_check.sh` runs on a machine with a GPU: checks and measurements in processes of their own, and their record."""
