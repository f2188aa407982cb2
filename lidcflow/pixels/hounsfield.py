"""The range of Hounsfield units that pixels are cut to: all of a CT of 12 bits, from air on."""

AIR_HU = -1024

HIGHEST_HU = 3071
