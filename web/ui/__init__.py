"""Gradio pages: each builds its widgets, then wires their events."""
