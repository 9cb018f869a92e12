"""The plane and the sheets of images, drawn by matplotlib."""
