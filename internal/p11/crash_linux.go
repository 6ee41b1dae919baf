//go:build cgo

package p11

/*
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

// What a signal handler needs has to be where it finds it: in the process.
static char words[4096];
static size_t words_size;
static int words_status;
static atomic_int words_ready;
static pid_t words_process;
static struct sigaction earlier[NSIG];

extern char __executable_start, etext;

// ours reports whether a fault is the program's own, whose code lies between
// these two: Go makes an error of some of its faults, or says what they are. A
// module, and the C library that it calls, lie elsewhere.
static int ours(void *context) {
#if defined(__x86_64__)
	char *at = (char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	char *at = (char *)((ucontext_t *)context)->uc_mcontext.pc;
#else
	char *at = &__executable_start;
#endif
	return at >= &__executable_start && at < &etext;
}

static void leave(int status) {
	for (;;)
		syscall(SYS_exit_group, status);
}

static void speak(void) {
	if (words_process != getpid() || !atomic_exchange(&words_ready, 0))
		return;
	for (size_t done = 0; done < words_size;) {
		ssize_t n = write(STDERR_FILENO, words + done, words_size - done);
		if (n <= 0)
			break;
		done += n;
	}
	leave(words_status);
}

// _exit and _Exit are those that a module calls, for a program goes before the C
// library: Go leaves in its own way. A process that the module made just leaves.
void _exit(int status) {
	speak();
	leave(status);
	__builtin_unreachable();
}

void _Exit(int status) {
	_exit(status);
}

static void crashed(int number, siginfo_t *info, void *context) {
	int sent = info->si_code <= 0 && info->si_pid != getpid();
	if (!sent && !ours(context))
		speak();
	if (earlier[number].sa_flags & SA_SIGINFO)
		earlier[number].sa_sigaction(number, info, context);
	else
		leave(2);
}

// prepare takes the words over; the first time it goes between Go and the
// signals of a crash, on the stack that Go has for them. A module may also just
// exit, which Go does not do through the C library.
static void prepare(const char *text, size_t size, int status) {
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	static int installed;
	atomic_store(&words_ready, 0);
	words_size = size < sizeof words ? size : sizeof words;
	memcpy(words, text, words_size);
	words_status = status;
	words_process = getpid();
	atomic_store(&words_ready, 1);
	if (installed)
		return;
	installed = 1;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct sigaction action;
		sigaction(signals[i], NULL, &earlier[signals[i]]);
		action = earlier[signals[i]];
		action.sa_sigaction = crashed;
		action.sa_flags |= SA_SIGINFO | SA_ONSTACK;
		sigaction(signals[i], &action, NULL);
	}
	atexit(speak);
}
*/
import "C"

import "unsafe"

// prepareLastWords is called by one goroutine at a time.
func prepareLastWords(text []byte, status int) {
	if len(text) > 0 {
		C.prepare((*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)), C.int(status))
	}
}
