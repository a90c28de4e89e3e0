/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCX by bpf(2) itself: the packaged libbpf and headers are older than it. A
 * program attached by descriptor (no link, no pin) lives as long as the device.
 * Each change names the revision of the list it was decided on, and is decided
 * anew when somebody else was faster; so "at the head" stays true.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/tc_priv.h"

#define TCX_INGRESS 46 /* enum bpf_attach_type, Linux 6.6 */
#define TCX_EGRESS  47
#define F_REPLACE   (1u << 2)
#define F_BEFORE    (1u << 3)
#define MAX_PROGS   64 /* BPF_MPROG_MAX: the kernel allows no more on one hook */
#define TRIES	    8

/* The parts of union bpf_attr that 6.6 added; unused tails are zero, as older layouts demand. */
struct attach_attr {
	uint32_t target_ifindex;
	uint32_t attach_bpf_fd;
	uint32_t attach_type;
	uint32_t attach_flags;
	uint32_t replace_bpf_fd;
	uint32_t relative_fd;
	uint64_t expected_revision;
};

struct query_attr {
	uint32_t target_ifindex;
	uint32_t attach_type;
	uint32_t query_flags;
	uint32_t attach_flags;
	uint64_t prog_ids;
	uint32_t count;
	uint32_t pad;
	uint64_t prog_attach_flags;
	uint64_t link_ids;
	uint64_t link_attach_flags;
	uint64_t revision;
};

_Static_assert(sizeof(struct attach_attr) == 32, "layout of union bpf_attr");
_Static_assert(sizeof(struct query_attr) == 64, "layout of union bpf_attr");

struct tcx_list {
	uint32_t ids[MAX_PROGS];
	size_t n;
	uint64_t revision;
};

static int bpf(int cmd, void *attr, size_t size)
{
	long r = syscall(__NR_bpf, cmd, attr, size);

	return r < 0 ? -errno : (int)r;
}

static uint32_t attach_type(enum tc_dir dir)
{
	return dir == TC_DIR_INGRESS ? TCX_INGRESS : TCX_EGRESS;
}

int tc_prog_info(int fd, struct tc_prog *ret)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {0};
	int r;

	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	r = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	if (r < 0)
		return r;
	*ret = (struct tc_prog){.fd = fd, .id = info.id};
	memcpy(ret->name, info.name, sizeof(ret->name) - 1);
	return 0;
}

/* Opens the program with that id when it bears that name: 1 and *ret_fd; 0 = another's, or gone. */
static int open_named(uint32_t id, const char *name, int *ret_fd)
{
	__cleanup_close int fd = -1;
	union bpf_attr attr = {0};
	struct tc_prog prog;

	attr.prog_id = id;
	fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (tc_prog_info(fd, &prog) < 0 || strcmp(prog.name, name) != 0)
		return 0;
	*ret_fd = TAKE_FD(fd);
	return 1;
}

static int query_list(uint32_t ifindex, enum tc_dir dir, struct tcx_list *ret)
{
	struct query_attr attr = {
		.target_ifindex = ifindex,
		.attach_type = attach_type(dir),
		.prog_ids = (uintptr_t)ret->ids,
		.count = MAX_PROGS,
	};
	int r = bpf(BPF_PROG_QUERY, &attr, sizeof(attr));

	if (r < 0)
		return r;
	ret->n = attr.count < MAX_PROGS ? attr.count : MAX_PROGS;
	ret->revision = attr.revision;
	return 0;
}

/* lo has index 1 in every namespace. */
int tcx_probe(void)
{
	struct tcx_list list;
	int r = query_list(1, TC_DIR_INGRESS, &list);

	return r == 0 ? 1 : r == -EINVAL ? 0 : r;
}

static int detach_fd(uint32_t ifindex, enum tc_dir dir, int fd)
{
	struct attach_attr attr = {
		.target_ifindex = ifindex,
		.attach_bpf_fd = (uint32_t)fd,
		.attach_type = attach_type(dir),
	};
	int r = bpf(BPF_PROG_DETACH, &attr, sizeof(attr));

	return r == -ENOENT ? 0 : r;
}

/* Every program of that name but the one with id keep (0 = all). Returns how many. */
static int detach_named(uint32_t ifindex, enum tc_dir dir, const char *name, uint32_t keep)
{
	struct tcx_list list;
	int r = query_list(ifindex, dir, &list), n = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++) {
		__cleanup_close int fd = -1;

		if (list.ids[i] == keep)
			continue;
		r = open_named(list.ids[i], name, &fd);
		if (r > 0) {
			r = detach_fd(ifindex, dir, fd);
			n++;
		}
		if (r < 0)
			return r;
	}
	return n;
}

static int attach_first(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog,
			const struct tcx_list *list, int replace_fd)
{
	struct attach_attr attr = {
		.target_ifindex = ifindex,
		.attach_bpf_fd = (uint32_t)prog->fd,
		.attach_type = attach_type(dir),
		.attach_flags = replace_fd >= 0 ? F_REPLACE : F_BEFORE,
		.replace_bpf_fd = replace_fd >= 0 ? (uint32_t)replace_fd : 0,
		.expected_revision = list->revision,
	};

	return bpf(BPF_PROG_ATTACH, &attr, sizeof(attr));
}

/*
 * Attached already, but something stands before it. Older ones of ours go; a
 * stranger stays: moving past it would mean a moment without our program.
 */
static int become_first(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog,
			uint32_t first, struct err *e)
{
	int r = detach_named(ifindex, dir, prog->name, prog->id);

	if (r < 0)
		return err_sys(e, r, "interface %u: detach an older %s", ifindex, prog->name);
	if (r > 0)
		return -ESTALE; /* look again */
	return err_set(e, -TC_UNREACHED,
		       "interface %u: program %u was attached by somebody before %s", ifindex,
		       first, prog->name);
}

/*
 * One decision on one revision of the list. An older version of ours at the head
 * is replaced in place; one further back stays until the new one is in front of
 * it, so there is no moment without either.
 */
static int attach_once(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct err *e)
{
	__cleanup_close int older = -1;
	struct tcx_list list;
	int r = query_list(ifindex, dir, &list);

	if (r < 0)
		return err_sys(e, r, "interface %u: list TCX programs", ifindex);
	for (size_t i = 1; i < list.n; i++)
		if (list.ids[i] == prog->id)
			return become_first(ifindex, dir, prog, list.ids[0], e);
	if (list.n == 0 || list.ids[0] != prog->id) {
		if (list.n)
			r = open_named(list.ids[0], prog->name, &older);
		if (r >= 0)
			r = attach_first(ifindex, dir, prog, &list, older);
		if (r < 0)
			return err_sys(e, r, "interface %u: attach %s", ifindex, prog->name);
	}
	if (list.n <= 1)
		return 0;
	r = detach_named(ifindex, dir, prog->name, prog->id);
	return r < 0 ? err_sys(e, r, "interface %u: detach an older %s", ifindex, prog->name) : 0;
}

int tcx_attach(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct err *e)
{
	int r = -ESTALE;

	/* ESTALE: another revision; EEXIST: a twin of ours attached the very same program */
	for (int i = 0; i < TRIES && (r == -ESTALE || r == -EEXIST); i++)
		r = attach_once(ifindex, dir, prog, e);
	return r;
}

int tcx_detach(uint32_t ifindex, enum tc_dir dir, const char *prog_name, struct err *e)
{
	int r = detach_named(ifindex, dir, prog_name, 0);

	return r < 0 ? err_sys(e, r, "interface %u: detach %s", ifindex, prog_name) : 0;
}

int tcx_query(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct tc_state *ret,
	      struct err *e)
{
	struct tcx_list list;
	int r = query_list(ifindex, dir, &list);

	for (size_t i = 0; r >= 0 && i < list.n; i++) {
		__cleanup_close int fd = -1;

		if (list.ids[i] == prog->id) {
			ret->attached = true;
			ret->reached = i == 0;
			ret->prog_id = prog->id;
			continue;
		}
		r = open_named(list.ids[i], prog->name, &fd);
		if (r > 0) {
			ret->other_ours = true;
			if (!ret->attached)
				ret->prog_id = list.ids[i];
		}
	}
	if (r < 0)
		return err_sys(e, r, "interface %u: list TCX programs", ifindex);
	if (ret->attached || ret->other_ours)
		ret->mode = TC_MODE_TCX;
	return ret->attached || ret->other_ours;
}
