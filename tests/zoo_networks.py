"""The networks of the zoo, small enough to be run often."""

# network: what makes it small, and how much narrower it is
SMALL = {
    "alexnet": ({"size": 67, "classes": 10}, 0.125),
    "alexnet-dorefa": ({"size": 60, "classes": 10}, 0.125),
    "alexnet-torchvision": ({"size": 64, "classes": 10}, 0.125),
    "alexnet-ungrouped": ({"size": 67, "classes": 10}, 0.125),
    "alexnet-wrpn": ({"size": 60, "classes": 10}, 0.125),
    "bert-base": ({"tokens": 6, "layers": 1, "hidden": 128, "vocabulary": 50}, 1),
    "bn-inception": ({"size": 32, "classes": 10}, 0.25),
    "gru-timit": ({"steps": 4, "hidden": 16}, 1),
    "inception-resnet-v2": ({"size": 75, "classes": 10}, 0.25),
    "inception-resnet-v2-paper": ({"size": 75, "classes": 10}, 0.25),
    "inception-v3": ({"size": 75, "classes": 10}, 0.25),
    "lstm-imdb": ({"steps": 4, "hidden": 16, "vocabulary": 50}, 1),
    "lstm-ptb": ({"steps": 4, "hidden": 16, "vocabulary": 50}, 1),
    "mobilenet-v1": ({"size": 32, "width": 0.25, "classes": 10}, 1),
    "mobilenet-v2": ({"size": 32, "width": 0.25, "classes": 10}, 1),
    "nasnet-a-mobile": ({"size": 32, "classes": 10}, 1),
    "pspnet": ({"size": 48}, 0.125),
    "svhn-a": ({}, 1),
    "vgg16": ({"size": 32, "classes": 10}, 0.125),
    "yolo-v3": ({"size": 32, "classes": 2}, 0.25),
}
ALSO = ({"size": 32, "classes": 10}, 0.125)  # ResNets


def small(name):
    parameters, width = SMALL.get(name, ALSO if name.startswith("resnet") else ({}, 1))
    return {"network": {name: parameters} if parameters else name, "width": width}
