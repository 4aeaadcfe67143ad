"""`python -m dtf_runtime.cli`: the command where no console script is on the path (`dtf worker --reload` starts its
children so).
"""

from dtf_runtime.cli import main

main()
