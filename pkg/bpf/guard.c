/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By bpf(2) itself where the packaged libbpf is older than programs of netfilter. A link cannot be
 * given another program, and no two programs may have one priority at a hook, so a new one comes at
 * the next free priority before the old one goes.
 *
 * A link that somebody detached looks as before. What tells is its priority, which is free then:
 * whoever asks for it is refused as long as the link holds it.
 */
#include "bpf/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "guard.skel.h"
#pragma GCC diagnostic pop

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "bpf/loader.h"

#define PROG_NETFILTER	 32 /* enum bpf_prog_type, Linux 6.4 */
#define ATTACH_NETFILTER 45 /* enum bpf_attach_type */
#define LINK_NETFILTER	 10 /* enum bpf_link_type */
#define KERNEL_BTF	 "/sys/kernel/btf/vmlinux"
#define FIRST_PRIORITY	 151 /* behind our chain postrouting_exit */
#define PRIORITIES	 16
#define DIGEST_SEED	 0x534c5502u
#define PIN_NEW		 "_new"
#define LOOKS_LEFT_OUT	 600 /* about one a second */

static const struct {
	const char *pin;
	uint32_t pf;
} families[] = {{"exit_v4_", NFPROTO_IPV4}, {"exit_v6_", NFPROTO_IPV6}};

#define FAMILIES (sizeof(families) / sizeof(*families))

/* The parts of union bpf_attr and struct bpf_link_info that 6.4 added. */
struct link_attr {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint32_t pf, hook;
	int32_t priority;
	uint32_t netfilter_flags;
};

struct link_info {
	uint32_t type, id, prog_id, pad;
	uint32_t pf, hook;
	int32_t priority;
	uint32_t flags;
};

_Static_assert(sizeof(struct link_attr) == 32, "layout of union bpf_attr");

/* After a kernel did not take the program. */
static unsigned int looks_left_out;

static void skeleton_destroyp(struct guard_bpf **s)
{
	guard_bpf__destroy(*s);
}

/* Of the object, never 0: a daemon asks for it in each pass. */
static uint32_t build(void)
{
	static uint32_t digest;

	if (!digest) {
		size_t size;
		const void *elf = guard_bpf__elf_bytes(&size);

		digest = (uint32_t)hash_bytes(elf, size, DIGEST_SEED) | 1;
	}
	return digest;
}

/* A pin tells by its name what build it is of. */
static char *pin_path(const struct bpf_pins *p, size_t family)
{
	return mem_printf("%s/%s%08x", bpf_pins_folder(p), families[family].pin, build());
}

/* 1, 0, or -errno. A kernel that does not know the type answers EINVAL. */
static int supported(void)
{
	const struct bpf_insn accept[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = NF_ACCEPT},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = ATTACH_NETFILTER);
	__cleanup_close int fd = -1;

	if (access(KERNEL_BTF, R_OK))
		return errno == ENOENT ? 0 : -errno;
	fd = bpf_prog_load(PROG_NETFILTER, NULL, "GPL", accept, 2, &opts);
	if (fd < 0)
		return fd == -EINVAL ? 0 : fd;
	return 1;
}

static int link_create(int prog_fd, uint32_t pf, int32_t priority)
{
	struct link_attr attr = {.prog_fd = (uint32_t)prog_fd,
				 .attach_type = ATTACH_NETFILTER,
				 .pf = pf,
				 .hook = NF_INET_POST_ROUTING,
				 .priority = priority};
	long fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

/* Whether the link at that pin is at the hook: 1, 0 or -errno. */
static int link_stands(const char *pin, uint32_t pf)
{
	__cleanup_close int link = bpf_obj_get(pin), prog = -1, other = -1;
	struct link_info info = {0};
	uint32_t len = sizeof(info);

	if (link < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_obj_get_info_by_fd(link, &info, &len))
		return -errno;
	if (info.type != LINK_NETFILTER || info.pf != pf)
		return 0;
	prog = bpf_prog_get_fd_by_id(info.prog_id);
	if (prog < 0)
		return -errno;
	other = link_create(prog, pf, info.priority);
	if (other >= 0)
		return 0;
	return other == -EBUSY ? 1 : other;
}

int bpf_guard_look(struct bpf_pins *p, enum guard_state *ret, struct err *e)
{
	int r = 1;

	for (size_t i = 0; r > 0 && i < FAMILIES; i++) {
		__cleanup_free char *pin = pin_path(p, i);

		r = link_stands(pin, families[i].pf);
		if (r < 0)
			return err_sys(e, r, "exit guard %s", pin);
	}
	*ret = GUARD_IN_FORCE;
	if (r)
		return 0;
	r = looks_left_out ? 0 : supported();
	if (r < 0)
		return err_sys(e, r, "ask for programs of netfilter");
	looks_left_out -= looks_left_out > 0;
	*ret = r ? GUARD_MISSING : GUARD_UNSUPPORTED;
	return 0;
}

static int link_new(int prog_fd, uint32_t pf)
{
	int fd = -EBUSY;

	for (int i = 0; i < PRIORITIES && fd == -EBUSY; i++)
		fd = link_create(prog_fd, pf, FIRST_PRIORITY + i);
	return fd;
}

static int family_apply(const struct bpf_pins *p, size_t i, int prog_fd, struct err *e)
{
	__cleanup_free char *pin = pin_path(p, i), *fresh = mem_printf("%s" PIN_NEW, pin);
	__cleanup_close int fd = link_new(prog_fd, families[i].pf);

	if (fd < 0)
		return err_sys(e, fd, "attach slu_exit");
	if (unlink(fresh) && errno != ENOENT)
		return err_sys(e, -errno, "unlink %s", fresh);
	if (bpf_obj_pin(fd, fresh))
		return err_sys(e, -errno, "pin %s", fresh);
	return rename(fresh, pin) ? err_sys(e, -errno, "rename %s", fresh) : 0;
}

/* Links of other builds. */
static int others_remove(const struct bpf_pins *p, struct err *e)
{
	DIR *d = opendir(bpf_pins_folder(p));
	int r = 0;

	if (!d)
		return err_sys(e, -errno, "%s", bpf_pins_folder(p));
	for (struct dirent *de; !r && (de = readdir(d));)
		for (size_t i = 0; !r && i < FAMILIES; i++) {
			__cleanup_free char *pin = pin_path(p, i);

			if (strncmp(de->d_name, families[i].pin, strlen(families[i].pin)) != 0 ||
			    !strcmp(de->d_name, strrchr(pin, '/') + 1))
				continue;
			if (unlinkat(dirfd(d), de->d_name, 0) && errno != ENOENT)
				r = err_sys(e, -errno, "unlink %s", de->d_name);
		}
	closedir(d);
	return r;
}

/* Not for want of memory, or because somebody was in the way: it will not take it next time. */
static bool refused(int r)
{
	static const int codes[] = {EINVAL, EACCES, EPERM, E2BIG, ENOENT, ESRCH, EOPNOTSUPP};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (r == -codes[i])
			return true;
	return false;
}

/* 0, 1 when this kernel does not take the program, or -errno. */
static int object_load(const struct bpf_pins *p, struct guard_bpf **ret, struct err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = bpf_pins_folder(p));
	__cleanup(skeleton_destroyp) struct guard_bpf *s = guard_bpf__open_opts(&opts);
	const char *warning;
	int r;

	if (!s)
		return err_sys(e, -errno, "open the exit guard's object");
	/* the section's name says nothing to a libbpf before 1.2 */
	bpf_program__set_type(s->progs.slu_exit, PROG_NETFILTER);
	bpf_program__set_expected_attach_type(s->progs.slu_exit, ATTACH_NETFILTER);
	bpf_warnings_keep();
	r = guard_bpf__load(s);
	warning = bpf_warnings_end();
	if (refused(r)) {
		log_warn("the kernel does not take the exit guard: nftables guards alone",
			 "error=%s warning=%s", strerror(-r), log_quote(warning));
		looks_left_out = LOOKS_LEFT_OUT;
		return 1;
	}
	if (r)
		return err_sys(e, r, "load slu_exit (%s)", warning);
	*ret = TAKE(s);
	return 0;
}

int bpf_guard_apply(struct bpf_pins *p, struct err *e)
{
	__cleanup(skeleton_destroyp) struct guard_bpf *s = NULL;
	int r = object_load(p, &s, e);

	for (size_t i = 0; r == 0 && i < FAMILIES; i++)
		r = family_apply(p, i, bpf_program__fd(s->progs.slu_exit), e);
	return r ? r : others_remove(p, e);
}
