"""The paper's study on a served zoo: its figures, categories and targets. Stands on `rdserve.client`."""
