"""What a comparison looks like: verdict, tables, terminal, JSON, page."""
