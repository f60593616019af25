"""What goes wrong with image files; known without torch, so that files can be checked without it."""

from PIL import Image

# The errors that Pillow raises for a file that it cannot decode.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
