/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcx: what somebody would do who wants a program off a device: bpf(2) on the TCX
 * list, which tc(8) of Debian 12 does not know; where there is no TCX, the clsact
 * filters are tc's business. "list" prints ids, "clear" detaches them all.
 */
#include "probe.h"

#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TCX_INGRESS 46
#define TCX_EGRESS  47
#define MAX_PROGS   64

/* union bpf_attr of Linux 6.6, whose header is newer than the packaged one */
struct query_attr {
	uint32_t target_ifindex, attach_type, query_flags, attach_flags;
	uint64_t prog_ids;
	uint32_t count, pad;
	uint64_t prog_attach_flags, link_ids, link_attach_flags, revision;
};

struct attach_attr {
	uint32_t target_ifindex, attach_bpf_fd, attach_type, attach_flags, replace_bpf_fd,
		relative_fd;
	uint64_t expected_revision;
};

static int prog_detach(uint32_t ifindex, uint32_t type, uint32_t id)
{
	union bpf_attr by_id = {.prog_id = id};
	struct attach_attr attr = {.target_ifindex = ifindex, .attach_type = type};
	int fd = (int)syscall(__NR_bpf, BPF_PROG_GET_FD_BY_ID, &by_id, sizeof(by_id));

	if (fd < 0)
		return -1;
	attr.attach_bpf_fd = (uint32_t)fd;
	if (syscall(__NR_bpf, BPF_PROG_DETACH, &attr, sizeof(attr)) < 0) {
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

/* Exit 3: this kernel has no TCX. */
int tcx_main(int argc, char **argv)
{
	uint32_t ids[MAX_PROGS] = {0};
	struct query_attr attr = {.prog_ids = (uintptr_t)ids, .count = MAX_PROGS};

	if (argc < 3)
		fail("tcx list|clear IFACE ingress|egress");
	attr.target_ifindex = if_nametoindex(argv[1]);
	attr.attach_type = !strcmp(argv[2], "egress") ? TCX_EGRESS : TCX_INGRESS;
	if (!attr.target_ifindex)
		fail("%s: %m", argv[1]);
	if (syscall(__NR_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0)
		return errno == EINVAL ? 3 : 1;
	for (uint32_t i = 0; i < attr.count; i++) {
		if (!strcmp(argv[0], "clear") &&
		    prog_detach(attr.target_ifindex, attr.attach_type, ids[i]))
			fail("detach %u: %m", ids[i]);
		printf("%u\n", ids[i]);
	}
	return attr.count ? 0 : 1;
}
