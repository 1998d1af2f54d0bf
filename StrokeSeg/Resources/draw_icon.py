"""Draws the module's icon: a brain in an axial slice with an infarct core in its penumbra.

Run as `python StrokeSeg/Resources/draw_icon.py` from the repository; writes both places where an icon is looked for.
"""

from pathlib import Path

from PIL import Image, ImageDraw

SIDE, SMOOTH = 128, 8
"""Pixels of the icon, and how many times larger it is drawn."""

RESOURCES = Path(__file__).resolve().parent
SKULL, BRAIN, SULCUS = (225, 225, 220), (120, 125, 135), (70, 74, 84)
PENUMBRA, CORE = (255, 193, 7), (216, 27, 96)


def draw() -> Image.Image:
    """The icon, 128 × 128 RGBA."""
    image = Image.new("RGBA", (SIDE * SMOOTH,) * 2)
    canvas = ImageDraw.Draw(image)

    def ellipse(x, y, half_width, half_height, colour):
        box = [
            (x - half_width) * SMOOTH,
            (y - half_height) * SMOOTH,
            (x + half_width) * SMOOTH,
            (y + half_height) * SMOOTH,
        ]
        canvas.ellipse(box, fill=colour)

    ellipse(64, 64, 50, 61, SKULL)
    ellipse(64, 64, 44, 55, BRAIN)
    brain = Image.new("L", image.size)
    ImageDraw.Draw(brain).ellipse([20 * SMOOTH, 9 * SMOOTH, 108 * SMOOTH, 119 * SMOOTH], fill=255)
    territory = Image.new("RGBA", image.size)
    lesion = ImageDraw.Draw(territory)
    wedge = [(74, 62), (84, 40), (125, 30), (125, 96), (86, 84)]
    lesion.polygon([(x * SMOOTH, y * SMOOTH) for x, y in wedge], fill=PENUMBRA)
    core = [(80, 63), (87, 52), (125, 46), (125, 76), (90, 73)]
    lesion.polygon([(x * SMOOTH, y * SMOOTH) for x, y in core], fill=CORE)
    image.paste(territory, mask=Image.composite(territory.getchannel("A"), Image.new("L", image.size), brain))
    canvas.line([(64 * SMOOTH, 12 * SMOOTH), (64 * SMOOTH, 116 * SMOOTH)], fill=SULCUS, width=2 * SMOOTH)
    for side in (-1, 1):
        ellipse(64 + side * 7, 52, 4, 12, SULCUS)
        ellipse(64 + side * 9, 78, 4, 10, SULCUS)
    return image.resize((SIDE, SIDE), Image.LANCZOS)


if __name__ == "__main__":
    icon = draw()
    icon.save(RESOURCES / "Icons" / "StrokeSeg.png")
    icon.save(RESOURCES.parents[1] / "StrokeSeg.png")
