"""The project's own head atlas: tissues, arterial territories and ASPECTS regions in template space."""

from StrokeSegLib.atlas.head import HeadAtlas, load

__all__ = ["HeadAtlas", "load"]
