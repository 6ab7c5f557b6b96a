"""The `context` of one call. Every call has objects of its own, because code may write to them."""


class Credentials:
    def __init__(self, facts):
        self.access_key_id = facts["accessKeyId"]
        self.access_key_secret = facts["accessKeySecret"]
        self.security_token = facts["securityToken"]


class FunctionMeta:
    def __init__(self, facts):
        self.name = facts["name"]
        self.handler = facts["handler"]
        # MB.
        self.memory = facts["memory"]
        # Seconds.
        self.timeout = facts["timeout"]


class ServiceMeta:
    def __init__(self, facts, qualifier):
        self.name = facts["name"]
        self.log_project = facts["logProject"]
        self.log_store = facts["logStore"]
        self.qualifier = qualifier
        self.version_id = facts["versionId"]


class Tracing:
    def __init__(self):
        self.span_context = ""
        self.span_baggages = {}
        self.jaeger_endpoint = ""


class Context:
    """`meta` holds the members of INVOKE: requestId, and where they differ from the usual, qualifier and retryCount.

    From python3.12 on the keys are only in the environment, and the function and the context have the facts that
    belonged to the service before.
    """

    def __init__(self, facts, meta, logger):
        qualifier = meta.get("qualifier", facts["service"]["qualifier"])
        self.request_id = meta["requestId"]
        self.function = FunctionMeta(facts["function"])
        self.service = ServiceMeta(facts["service"], qualifier)
        self.region = facts["region"]
        self.account_id = facts["accountId"]
        self.retry_count = meta.get("retryCount", 0)
        self.tracing = Tracing()
        self.logger = logger
        if tuple(facts["generation"]) >= (3, 12):
            self.function.version_id = facts["service"]["versionId"]
            self.function.qualifier = qualifier
            self.log_project = facts["service"]["logProject"]
            self.log_store = facts["service"]["logStore"]
        else:
            self.credentials = Credentials(facts["credentials"])
