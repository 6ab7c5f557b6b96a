"""Handler contracts by name. Each is imported when a function of it is set up."""


def _alibaba_fc():
    from .alibaba_fc import AlibabaFc

    return AlibabaFc


CONTRACTS = {"alibaba-fc": _alibaba_fc}
