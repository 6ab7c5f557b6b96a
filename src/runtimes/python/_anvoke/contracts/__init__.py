"""Handler contracts by name. Each is imported when a function of it is set up."""


def _alibaba_fc():
    from .alibaba_fc import AlibabaFc

    return AlibabaFc


def _huawei_functiongraph():
    from .huawei_functiongraph import HuaweiFunctionGraph

    return HuaweiFunctionGraph


def _tencent_scf():
    from .tencent_scf import TencentScf

    return TencentScf


CONTRACTS = {
    "alibaba-fc": _alibaba_fc,
    "huawei-functiongraph": _huawei_functiongraph,
    "tencent-scf": _tencent_scf,
}
