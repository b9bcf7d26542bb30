"""What tests of plugins and of programs need: backends that play a script."""

from andon.testing.scripted import ScriptedBackend, plugin_with

__all__ = ["ScriptedBackend", "plugin_with"]
