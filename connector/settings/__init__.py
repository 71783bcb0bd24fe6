"""TOML → frozen, validated settings, all mistakes at once. See CONTRACT: "Configuration".

`model` is what the rest of the program receives; `files` reads and checks; `secrets` finds credentials. Imports only
`domain` (for the policy's type and the tree of errors).
"""
