"""Language models behind one Protocol: in process, or any OpenAI-compatible server."""
