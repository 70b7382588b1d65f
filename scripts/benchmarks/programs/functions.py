"""The five functions called one after the other, in one process."""

import sys

from five import expected

print(expected(sys.argv[1]))
