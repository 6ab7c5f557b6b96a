"""From a handler's name to the function."""

import importlib


class LoadError(Exception):
    """Why a handler could not be had; `__cause__` is what the code raised, where it did.

    `module` is the module's name, or the whole of an invalid handler's. `kind` is one of: invalid_handler_name, module_not_imported, syntax_error, module_raised, handler_not_found.
    """

    def __init__(self, kind, module="", function=""):
        super().__init__(kind)
        self.kind = kind
        self.module = module
        self.function = function

    def is_module_missing(self):
        """Whether it is the handler's own module, or a folder above it, that was not found."""
        name = self.module.replace("/", ".")
        cause = self.__cause__
        return isinstance(cause, ModuleNotFoundError) and ("%s." % name).startswith("%s." % cause.name)


def load_function(handler):
    """Imports the function that `module.function` or `dir/module.function` names. Raises LoadError."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot or not module_name or not function_name:
        raise LoadError("invalid_handler_name", handler)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise LoadError("module_not_imported", module_name) from error
    except SyntaxError as error:
        raise LoadError("syntax_error", module_name) from error
    except Exception as error:
        raise LoadError("module_raised", module_name) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise LoadError("handler_not_found", module_name, function_name)
    return function
