"""Reading of files in a sandboxed child process, so that a bad file affects nothing else."""
