"""Models behind an OpenAI-compatible endpoint: on this machine (Ollama, LM Studio, llama-server), in the network, or hosted."""

from .engine import RemoteEngine
from .meter import Metered, Purse

__all__ = ["Metered", "Purse", "RemoteEngine"]
