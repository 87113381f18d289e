"""`ullage serve`: pages over a folder of runs, to read, drill down, compare and accept.

Rendered on the server, for one person at one machine. Nothing in a run folder is trusted: its text
is shown and never obeyed, and no address of a page names a file.
"""
