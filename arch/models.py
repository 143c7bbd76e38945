"""The built-in networks: input shape and layer tables by name."""

MODELS = {
    "digits": ((8, 8, 1), [
        {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "maxpool", "size": 2},
        {"type": "dense", "out": 10},
    ]),
}
MODELS["resnet_digits"] = ((8, 8, 1), [
    {"type": "conv", "name": "stem", "out": 8, "kernel": 3, "padding": 1},
    {"type": "relu"},
    {"type": "conv", "out": 8, "kernel": 3, "padding": 1},
    {"type": "relu"},
    {"type": "conv", "out": 8, "kernel": 3, "padding": 1},
    {"type": "add", "from": "stem"},
    {"type": "relu"},
    {"type": "conv", "name": "down", "out": 16, "kernel": 3, "stride": 2, "padding": 1},
    {"type": "relu"},
    {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
    {"type": "add", "from": "down"},
    {"type": "relu"},
    {"type": "avgpool", "size": "global"},
    {"type": "dense", "out": 10},
])
