/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CALL(name) [SYS_##name] = #name

static const char *const names[] = {
	CALL(accept4),
	CALL(access),
	CALL(arch_prctl),
	CALL(bind),
	CALL(bpf),
	CALL(brk),
	CALL(chdir),
	CALL(clock_nanosleep),
	CALL(clone),
	CALL(clone3),
	CALL(close),
	CALL(close_range),
	CALL(connect),
	CALL(dup2),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_pwait),
	CALL(epoll_wait),
	CALL(execve),
	CALL(exit_group),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(fchmod),
	CALL(fcntl),
	CALL(fdatasync),
	CALL(flock),
	CALL(fstat),
	CALL(fstatfs),
	CALL(fsync),
	CALL(ftruncate),
	CALL(futex),
	CALL(getdents64),
	CALL(getpid),
	CALL(getrandom),
	CALL(getsockname),
	CALL(getsockopt),
	CALL(gettid),
	CALL(getuid),
	CALL(geteuid),
	CALL(inotify_add_watch),
	CALL(inotify_init1),
	CALL(ioctl),
	CALL(kill),
	CALL(listen),
	CALL(lseek),
	CALL(lstat),
	CALL(mkdir),
	CALL(mkdirat),
	CALL(mmap),
	CALL(mount),
	CALL(mprotect),
	CALL(mremap),
	CALL(munmap),
	CALL(nanosleep),
	CALL(newfstatat),
	CALL(open),
	CALL(openat),
	CALL(perf_event_open),
	CALL(pidfd_open),
	CALL(pipe2),
	CALL(poll),
	CALL(pread64),
	CALL(prlimit64),
	CALL(pwrite64),
	CALL(read),
	CALL(readlink),
	CALL(readlinkat),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(rmdir),
	CALL(rseq),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(sendmsg),
	CALL(sendto),
	CALL(set_robust_list),
	CALL(set_tid_address),
	CALL(setns),
	CALL(setpgid),
	CALL(setsockopt),
	CALL(shutdown),
	CALL(signalfd4),
	CALL(socket),
	CALL(stat),
	CALL(statfs),
	CALL(statx),
	CALL(sysinfo),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(umask),
	CALL(umount2),
	CALL(uname),
	CALL(unlink),
	CALL(unlinkat),
	CALL(wait4),
	CALL(write),
	CALL(writev),
};

const char *call_name(__u64 nr)
{
	static char number[24];

	if (nr < sizeof(names) / sizeof(names[0]) && names[nr])
		return names[nr];
	snprintf(number, sizeof(number), "call-%llu", (unsigned long long)nr);
	return number;
}

static long fd_class(pid_t pid, __u64 fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%llu", (int)pid, (unsigned long long)fd);
	return stat(path, &st) ? -1 : (long)(st.st_mode >> 12);
}

long call_class(pid_t pid, __u64 nr, const __u64 *args)
{
	switch (nr) {
	case SYS_bpf:
		return (long)args[0];
	case SYS_read:
	case SYS_write:
	case SYS_close:
	case SYS_fsync:
		return fd_class(pid, args[0]);
	default:
		return 0;
	}
}

bool call_can_be_short(pid_t pid, __u64 nr, const __u64 *args)
{
	bool moves = nr == SYS_read || nr == SYS_write || nr == SYS_pread64 || nr == SYS_pwrite64;
	long class = moves ? fd_class(pid, args[0]) : 0;

	return moves && args[2] > 1 && (class == S_IFREG >> 12 || class == S_IFIFO >> 12);
}
