"""Looking into what code raised."""

import os
import traceback

_OWN_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


def code_traceback(error):
    """The stack without the frames that led into the code: this program's and the import machinery's."""
    frame = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def code_frames(error):
    """The same, one entry for each frame."""
    return traceback.extract_tb(code_traceback(error))


def frame_lines(error):
    """The same as lines: where it was, and the line of code where it is known."""
    lines = []
    for frame in code_frames(error):
        lines.append('File "%s", line %d, in %s' % (frame.filename, frame.lineno, frame.name))
        if frame.line:
            lines.append(frame.line)
    return lines


def text_of(error):
    """The message, also of an exception that cannot form one."""
    try:
        return str(error)
    except Exception:
        return "<%s whose text cannot be formed>" % type(error).__name__


def _is_ours(filename):
    return (
        filename.startswith((_OWN_DIRECTORY, "<frozen importlib"))
        or os.sep + "importlib" + os.sep in filename
    )
