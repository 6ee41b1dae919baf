#!/usr/bin/python3
"""A PKCS#11 program: client.py MODULE watch, hold or fork.

watch prints how many tokens there are after each event of a slot. hold prints "ready" in
the middle of a signature, and sleeps. fork has a child use the module, which its parent has
initialised and goes on using.
"""

import ctypes
import os
import sys
import time

# The places of functions in CK_FUNCTION_LIST (PKCS #11, pkcs11f.h).
INITIALIZE, SLOT_LIST, OPEN_SESSION, SESSION_INFO = 0, 4, 12, 15
FIND_INIT, FIND, FIND_FINAL, SIGN_INIT, SIGN_UPDATE, RANDOM, WAIT = 26, 27, 28, 42, 44, 64, 67
NUMBER = ctypes.c_ulong


class Mechanism(ctypes.Structure):
    _fields_ = [("kind", NUMBER), ("parameter", ctypes.c_void_p), ("length", NUMBER)]


class Attribute(ctypes.Structure):
    _fields_ = [("kind", NUMBER), ("value", ctypes.c_void_p), ("length", NUMBER)]


library = ctypes.CDLL(sys.argv[1])
functions = ctypes.POINTER(ctypes.c_void_p)()
if library.C_GetFunctionList(ctypes.byref(functions)) != 0:
    sys.exit("C_GetFunctionList")


def call(place, *arguments):
    """Calls a function; the first pointer comes after the version."""
    code = ctypes.CFUNCTYPE(NUMBER)(functions[place + 1])(*arguments)
    if code != 0:
        sys.exit(f"function {place}: {code:#x}")


def slots():
    """The slots with a token."""
    count = NUMBER(32)
    found = (NUMBER * count.value)()
    call(SLOT_LIST, ctypes.c_ubyte(1), found, ctypes.byref(count))
    return list(found[: count.value])


def session():
    """A session with the first token."""
    opened = NUMBER()
    call(OPEN_SESSION, NUMBER(slots()[0]), NUMBER(4), None, None, ctypes.byref(opened))
    return opened


def uses(opened):
    """The session lives."""
    call(SESSION_INFO, opened, (NUMBER * 4)())
    call(RANDOM, opened, (ctypes.c_ubyte * 8)(), NUMBER(8))


def say(what):
    print(what, flush=True)


def watch():
    say(len(slots()))
    while True:
        call(WAIT, NUMBER(0), ctypes.byref(NUMBER()), None)
        say(len(slots()))


def hold():
    opened, key, count, private = session(), NUMBER(), NUMBER(), NUMBER(3)
    wanted = Attribute(0, ctypes.cast(ctypes.byref(private), ctypes.c_void_p), ctypes.sizeof(private))
    call(FIND_INIT, opened, ctypes.byref(wanted), NUMBER(1))
    call(FIND, opened, ctypes.byref(key), NUMBER(1), ctypes.byref(count))
    call(FIND_FINAL, opened)
    call(SIGN_INIT, opened, ctypes.byref(Mechanism(0x40, None, 0)), key)  # CKM_SHA256_RSA_PKCS
    call(SIGN_UPDATE, opened, ctypes.c_char_p(b"half a message"), NUMBER(14))
    say("ready")
    time.sleep(600)


def fork():
    opened = session()
    child = os.fork()
    if child == 0:
        call(INITIALIZE, None)
        uses(session())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    uses(opened)
    say(f"child {status}, {len(slots())} tokens")


call(INITIALIZE, None)
{"watch": watch, "hold": hold, "fork": fork}[sys.argv[2]]()
