"""The command line, ``dmdd-edge``: one module a command, each loading its stage only when it runs."""
