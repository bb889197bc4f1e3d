"""Any finished picture on a dark ground: greys change places with their opposites, dark colours become lighter."""

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from mpl_toolkits.mplot3d import Axes3D

KEPT = "same on a dark ground"  # the gid of an artist that stands on a coloured cell
_GROUND, _BRIGHT = 0.09, 0.94  # lightness of the ground, and of what was black
_GREY = 0.02  # channels closer than this are a grey
_DIM, _MIX = 0.22, 0.4  # colours of a luminance below the first are mixed with so much white


def darken(figure: Figure) -> None:
    """Recolours a figure for a dark ground, once; colours that stand for values in images and colour bars stay."""
    figure.draw_without_rendering()  # ticks get their colours when they are made
    artists = [artist for artist in figure.findobj() if artist.get_gid() != KEPT]
    boxes = [box for artist in artists if isinstance(artist, Text) and (box := artist.get_bbox_patch()) is not None]
    solid = [axes for axes in figure.axes if isinstance(axes, Axes3D)]
    panes = [axis.pane for axes in solid for axis in (axes.xaxis, axes.yaxis, axes.zaxis)]
    for artist in [*artists, *boxes, *panes]:  # the walls of a surface are not among what a figure finds
        _recolour(artist)


def _recolour(artist: Artist) -> None:
    match artist:
        case Text():
            artist.set_color(_turned(artist.get_color()))
        case Line2D():
            face, edge = artist.get_markerfacecolor(), artist.get_markeredgecolor()
            artist.set_color(_turned(artist.get_color()))
            artist.set_markerfacecolor(_turned(face))
            artist.set_markeredgecolor(_turned(edge))
        case Patch():
            face, edge = artist.get_facecolor(), artist.get_edgecolor()
            artist.set_facecolor(_turned(face))
            artist.set_edgecolor(_turned(edge))
        case Collection():
            faces, edges = to_rgba_array(artist.get_facecolor()), to_rgba_array(artist.get_edgecolor())
            if artist.get_array() is None:
                artist.set_facecolor([_turned(color) for color in faces])
            if artist.get_array() is None or not np.array_equal(edges, faces):  # an edge of its own sets dark values off
                artist.set_edgecolor([_turned(color) for color in edges])
        case _:
            pass


def _turned(color: Any) -> Any:
    """Returns the colour for a dark ground; none stays none, and transparency stays."""
    if isinstance(color, str) and color in ("none", "auto"):
        return color
    alpha = 1.0 if isinstance(color, str) or len(color) == 3 else float(color[3])
    red, green, blue = to_rgb(color)
    if max(red, green, blue) - min(red, green, blue) < _GREY:
        return (*(_GROUND + (1 - red) * (_BRIGHT - _GROUND),) * 3, alpha)
    if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < _DIM:
        return (*(part + (1 - part) * _MIX for part in (red, green, blue)), alpha)
    return (red, green, blue, alpha)
