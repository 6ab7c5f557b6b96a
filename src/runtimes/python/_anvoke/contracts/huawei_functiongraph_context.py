"""The `context` of one call. Every call has an object of its own, because code may write to it."""

import time


class Context:
    """`facts` is what the host's half says once per instance; times are of time.perf_counter.

    Keys are there where the function has an agency. A token of the identity service, steps of a workflow and a state
    that is kept between calls do not exist here: they are empty, and a state lives as long as its call.
    """

    def __init__(self, facts, request_id, alias, started, logger):
        self._facts = facts
        self._request_id = request_id
        self._alias = alias
        self._started = started
        self._logger = logger
        # The vendor's stateful functions use the member itself, too.
        self.state = None

    def getRequestID(self):
        return self._request_id

    def getRemainingTimeInMilliSeconds(self):
        elapsed = (time.perf_counter() - self._started) * 1000
        return max(0, int(self._facts["timeoutMs"] - elapsed))

    def getAccessKey(self):
        return self._facts["credentials"]["accessKey"]

    def getSecretKey(self):
        return self._facts["credentials"]["secretKey"]

    def getSecurityAccessKey(self):
        return self._facts["credentials"]["accessKey"]

    def getSecuritySecretKey(self):
        return self._facts["credentials"]["secretKey"]

    def getSecurityToken(self):
        return self._facts["credentials"]["securityToken"]

    def getToken(self):
        return ""

    def getAuthToken(self):
        return ""

    def getUserData(self, key, default=None):
        return self._facts["userData"].get(key, default)

    def getFunctionName(self):
        return self._facts["functionName"]

    def getRunningTimeInSeconds(self):
        """The time limit of a call."""
        return self._facts["timeoutSeconds"]

    def getVersion(self):
        return self._facts["version"]

    def getAlias(self):
        return self._alias

    def getMemorySize(self):
        """MB."""
        return self._facts["memoryMb"]

    def getCPUNumber(self):
        """Thousandths of a core."""
        return self._facts["cpu"]

    def getProjectID(self):
        return self._facts["projectId"]

    def getPackage(self):
        return self._facts["package"]

    def getLogger(self):
        return self._logger

    def getState(self):
        return self.state

    def setState(self, state):
        self.state = state

    get_state = getState
    set_state = setState

    def getWorkflowID(self):
        return ""

    def getWorkflowRunID(self):
        return ""

    def getWorkflowStateID(self):
        return ""
