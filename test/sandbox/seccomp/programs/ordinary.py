# What programs in Python ordinarily do; prints what of it does not work.
import asyncio, ctypes, ctypes.util, errno, multiprocessing, os, signal, socket, stat, subprocess, tempfile, threading
import concurrent.futures, mmap, resource, select, ssl, sqlite3, zoneinfo


def threads():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(int, '1234')) == 10


def processes():
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert sum(pool.map(int, '1234')) == 10
    spawned = multiprocessing.get_context('spawn').Process(target=print)
    assert spawned is not None


def programs():
    assert subprocess.run(['/bin/echo', 'x'], capture_output=True).stdout == b'x\n'
    assert subprocess.run('echo $0', shell=True, capture_output=True, start_new_session=True).returncode == 0


def sockets():
    left, right = socket.socketpair()
    left.send(b'x')
    assert right.recv(1) == b'x'
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            socket.socket(family, kind).close()
    assert ('lo' in [name for _, name in socket.if_nameindex()])


def names():
    assert socket.getaddrinfo('localhost', 80)
    assert socket.gethostname()


def event_loops():
    async def echo():
        async def serve(reader, writer):
            writer.write(await reader.readexactly(1))
            writer.close()
        server = await asyncio.start_server(serve, '127.0.0.1', 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b'x')
        assert await reader.readexactly(1) == b'x'
        writer.close()
        server.close()
        child = await asyncio.create_subprocess_exec('/bin/true')
        assert await child.wait() == 0
    asyncio.run(echo())


def files():
    with tempfile.TemporaryDirectory() as place:
        os.mkfifo(f'{place}/fifo')
        os.mknod(f'{place}/plain', 0o600 | stat.S_IFREG)
        open(f'{place}/file', 'w').write('x')
        os.link(f'{place}/file', f'{place}/link')
    try:
        os.close(os.memfd_create('memory'))
    except OSError as error:
        # Where nothing counts such memory there is none.
        assert error.errno == errno.ENOSYS
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    os.close(os.pidfd_open(os.getpid()))


def limits():
    resource.prlimit(0, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
    os.sched_getaffinity(0)
    os.nice(1)


def own_filters():
    libc = ctypes.CDLL(None, use_errno=True)
    set_seccomp, mode_filter = 22, 2
    assert libc.prctl(set_seccomp, mode_filter, None, 0, 0) == -1
    assert os.strerror(ctypes.get_errno()) == 'Bad address'


def personality():
    assert ctypes.CDLL(None).personality(0xFFFFFFFF) == 0


for act in (threads, processes, programs, sockets, names, event_loops, files, limits, own_filters, personality):
    try:
        act()
    except BaseException as error:
        print(act.__name__, type(error).__name__, error)
print('done')
