"""Tools that a model may call: described, validated, limited, approved, and on record."""

from agentprod.safety.tools.decisions import Request, ToolDecision
from agentprod.safety.tools.guard import ToolGuard
from agentprod.safety.tools.tool import Risk, Tool, tool

__all__ = ["Request", "Risk", "Tool", "ToolDecision", "ToolGuard", "tool"]
