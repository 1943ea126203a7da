"""The live graph: its state, its layout, its picture and its widget."""
