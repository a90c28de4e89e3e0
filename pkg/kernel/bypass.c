/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cilium has its program on the interface when its ADD returns, as a TCX link or
 * a clsact filter. Calico's Felix attaches later; that it will is seen by the maps
 * it pins when its eBPF data plane is on.
 */
#include "kernel/bypass.h"

#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/rtnl_priv.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, 6.6: not in the headers of Debian 12 */
#define MAX_PROGS   64
#define CALICO_PINS "/sys/fs/bpf/tc/globals"

/* Prefixes of program names (15 characters reach us) and of filter names. */
static const struct {
	const char *prefix, *who;
} known[] = {
	{"cil_from_", "Cilium"},
	{"bpf_lxc.o", "Cilium"},
	{"cali_", "Calico's eBPF data plane"},
	{"calico_", "Calico's eBPF data plane"},
};

static const char *who_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(name, known[i].prefix, strlen(known[i].prefix)) == 0)
			return known[i].who;
	return NULL;
}

static int bpf(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int who_by_id(uint32_t id, const char **ret_who)
{
	struct bpf_prog_info info = {0};
	__cleanup_close int fd = -1;
	union bpf_attr attr = {0};
	int r;

	attr.prog_id = id;
	fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* gone meanwhile */
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	r = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r == 0)
		*ret_who = who_by_name(info.name);
	return r;
}

/* A kernel without TCX has nobody there. */
static int who_by_tcx(uint32_t ifindex, const char **ret_who, struct err *e)
{
	uint32_t ids[MAX_PROGS] = {0};
	union bpf_attr attr = {0};
	int r;

	attr.query.target_fd = ifindex;
	attr.query.attach_type = TCX_INGRESS;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = MAX_PROGS;
	r = bpf(BPF_PROG_QUERY, &attr);
	if (r == -EINVAL)
		return 0;
	for (uint32_t i = 0; r == 0 && !*ret_who && i < attr.query.prog_cnt && i < MAX_PROGS; i++)
		r = who_by_id(ids[i], ret_who);
	return r < 0 ? err_sys(e, r, "list the programs of %u", ifindex) : 0;
}

static int parse_filter(struct nlmsghdr *h, void *row, const void *arg)
{
	struct nlattr *tb[TCA_MAX + 1], *opt[TCA_BPF_MAX + 1];
	char name[64];
	const char **who = row;

	if (h->nlmsg_type != RTM_NEWTFILTER || rtnl_attrs(h, sizeof(struct tcmsg), tb, TCA_MAX) < 0)
		return -EBADMSG;
	if (!tb[TCA_KIND] || nla_strcmp(tb[TCA_KIND], "bpf") != 0 || !tb[TCA_OPTIONS] ||
	    rtnl_attrs_nested(tb[TCA_OPTIONS], opt, TCA_BPF_MAX) < 0 || !opt[TCA_BPF_NAME])
		return 0;
	nla_strlcpy(name, opt[TCA_BPF_NAME], sizeof(name));
	*who = who_by_name(name);
	return *who != NULL;
}

/*
 * Filters hang on a qdisc. Few interfaces have one where there is TCX, and to ask for it is no
 * dump. (What it is the kernel tells listeners only; we are told whether it is there.)
 */
static bool has_no_filters(struct rtnl *r, uint32_t ifindex)
{
	struct tcmsg tcm = {.tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_INGRESS};
	struct nl_msg *m = rtnl_msg(RTM_GETQDISC, 0, &tcm, sizeof(tcm));

	return rtnl_change(r, m, NULL) == -ENOENT;
}

static int who_by_filter(struct rtnl *r, uint32_t ifindex, const char **ret_who, struct err *e)
{
	struct tcmsg tcm = {
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
	};
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(*ret_who)};
	int rc;

	if (has_no_filters(r, ifindex))
		return 0;
	rc = rtnl_dump(r, rtnl_msg(RTM_GETTFILTER, 0, &tcm, sizeof(tcm)), parse_filter, NULL, &rows,
		       e);
	if (rc < 0)
		return err_wrap(e, "list the filters of %u", ifindex);
	if (rows.n)
		*ret_who = *(const char **)rows.rows;
	return 0;
}

static int who_will_come(const char *ifname, const char **ret_who, struct err *e)
{
	struct dirent *de;
	DIR *dir;
	int r;

	if (strncmp(ifname, "cali", 4) != 0)
		return 0;
	dir = opendir(CALICO_PINS);
	if (!dir)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "open " CALICO_PINS);
	while (!*ret_who && (errno = 0, de = readdir(dir)))
		*ret_who = who_by_name(de->d_name);
	r = *ret_who ? 0 : -errno;
	closedir(dir);
	return r < 0 ? err_sys(e, r, "read " CALICO_PINS) : 0;
}

int bypass_find(struct rtnl *r, const struct link_info *host, const char **ret_who, struct err *e)
{
	const char *who = NULL;
	int rc = who_by_tcx(host->ifindex, &who, e);

	if (rc == 0 && !who)
		rc = who_will_come(host->name, &who, e);
	if (rc == 0 && !who)
		rc = who_by_filter(r, host->ifindex, &who, e);
	if (rc < 0 || !who)
		return rc;
	*ret_who = who;
	return 1;
}
