"""From torch modules of anybody's to a folder that is served: graphs, laws by name, a card."""
