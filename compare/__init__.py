"""Models side by side: statistics over per-example arrays, figures, files. Stands on `rdserve.client`."""
