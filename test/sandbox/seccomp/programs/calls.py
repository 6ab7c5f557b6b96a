# Makes each system call of the list on standard argument 1, [name, number, [arguments]], and prints how each ended.
import ctypes, errno, json, os, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
endings = {}
for name, number, arguments in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))
    if result == 0 and name.startswith('clone'):
        os._exit(0)  # A child that must not be.
    endings[name] = errno.errorcode[ctypes.get_errno()] if result < 0 else 'allowed'
print(json.dumps(endings))
