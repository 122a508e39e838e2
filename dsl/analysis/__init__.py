"""Questions about SSA that both lowering and differentiation ask."""

from dsl.analysis.influence import Flow, Influence, Path

__all__ = ["Flow", "Influence", "Path"]
