"""What tests of plugins and of programs need: backends that play a script, and a recorder."""

from andon.testing.recorder import Recorded, Recorder
from andon.testing.scripted import ScriptedBackend, plugin_with

__all__ = ["Recorded", "Recorder", "ScriptedBackend", "plugin_with"]
