"""Models behind an OpenAI-compatible endpoint: on this machine (Ollama, LM Studio, llama-server), in the network, or hosted."""

from .engine import RemoteEngine

__all__ = ["RemoteEngine"]
