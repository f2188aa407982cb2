"""The science of lidcflow and its stores: CT series, readings, volumes, sector models, recommendations."""
