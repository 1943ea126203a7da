"""The notebook layer: what people see and write in Jupyter. The core knows nothing of it."""
