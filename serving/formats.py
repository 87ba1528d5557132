"""The image formats that clients may send."""

FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP")
