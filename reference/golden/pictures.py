"""What do the test pictures look like? Painted by formula: sky, sun, hills, water and grain, so that they resize like photographs."""

import numpy
from PIL import Image


def landscape(width: int, height: int, seed: int = 7) -> Image.Image:
    """A colourful picture with smooth areas, edges and fine texture, RGB."""
    random = numpy.random.RandomState(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    mix = lambda below, above, amount: below + (numpy.array(above) - below) * amount[..., None]

    picture = mix(numpy.array([70.0, 120, 215]), [250, 190, 120], numpy.clip(y * 1.6, 0, 1))
    sun_x, sun_y = 0.2 + 0.6 * random.rand(), 0.15 + 0.2 * random.rand()
    distance = numpy.hypot((x - sun_x) * width / height, y - sun_y)
    picture = mix(picture, [255, 244, 200], numpy.exp(-((distance / 0.09) ** 4)))
    for layer in range(3):
        phase, waves = random.rand(2) * 6.28, 2 + 3 * layer
        ridge = 0.5 + 0.13 * layer + 0.07 * numpy.sin(x * waves + phase[0]) + 0.02 * numpy.sin(x * 23 + phase[1])
        colour = random.randint(20, 140, 3) * (1 - 0.2 * layer)
        stripes = 0.5 + 0.5 * numpy.sin((x + y) * (60 + 40 * layer))
        picture = mix(picture, colour + 40 * stripes[..., None], 1.0 * (y > ridge))
    water = (y > 0.86) * (0.6 + 0.4 * numpy.sin(y * 180 + 4 * numpy.sin(x * 15)))
    picture = mix(picture, [30, 90, 130], water)
    left, top = 0.1 + 0.7 * random.rand(), 0.55
    hut = (abs(x - left) < 0.05) & (abs(y - top) < 0.12)
    picture = mix(picture, [200, 40, 50], 1.0 * hut)
    picture = picture + random.normal(0, 6, picture.shape)
    return Image.fromarray(numpy.clip(picture.round(), 0, 255).astype(numpy.uint8), "RGB")
