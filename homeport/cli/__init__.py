"""The command line, for people. It sees AWS's API and the data directory's small files, nothing else of ours."""
