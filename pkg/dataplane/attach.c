/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pod interface. A program without its map entry drops everything with
 * UNKNOWN_INTERFACE, so the entry is there first and goes last: the pod's packets
 * are judged or dropped, never let through. A change of the entry comes after all else that may
 * fail. A macvlan has no host side: two
 * programs on the parent serve all its pods, so the last one to go removes them.
 */
#include "dataplane/attach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/tc.h"

int dp_addrs_check(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	for (size_t i = 0; i < a->pod.naddr; i++) {
		struct slu_lpm_key key = {.prefixlen = 128, .addr = a->pod.addr[i]};
		uint32_t flags;
		int r = bpf_map_lookup(pins, BPF_MAP_INSIDE, &key, &flags, e);

		if (r == 0 && flags & SLU_INSIDE_TAKEN)
			return err_set(e, -EADDRINUSE,
				       "%s is an egress address or a node's: leave it out "
				       "of the pods' ranges",
				       addr_str(slu_addr_get(key.addr)));
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

struct hook {
	enum bpf_prog prog;
	enum tc_dir dir;
};

/* The second one only where a policy has names: what answers teach is asked for by nobody else. */
static const struct hook veth_hooks[] = {
	{BPF_PROG_FROM_POD, TC_DIR_INGRESS},
	{BPF_PROG_TO_POD, TC_DIR_EGRESS},
};
static const struct hook macvlan_hooks[] = {
	{BPF_PROG_MACVLAN_EGRESS, TC_DIR_EGRESS},
	{BPF_PROG_MACVLAN_INGRESS, TC_DIR_INGRESS},
};

static size_t attach_hooks(const struct dp_attachment *a, const struct hook **ret)
{
	*ret = a->macvlan ? macvlan_hooks : veth_hooks;
	return a->macvlan || a->names ? 2 : 1;
}

static int policy_has_names(struct bpf_pins *pins, uint32_t id, bool *ret, struct err *e)
{
	struct slu_policy policy;
	int r = id ? bpf_map_lookup(pins, BPF_MAP_POLICIES, &id, &policy, e) : -ENOENT;

	if (r == 0 && policy.flags & SLU_POLICY_NAMES)
		*ret = true;
	return r == -ENOENT ? 0 : r;
}

int dp_names_of(struct bpf_pins *pins, struct dp_attachment *a, struct err *e)
{
	int r;

	a->names = false;
	if (a->macvlan)
		return 0;
	r = policy_has_names(pins, a->pod.policy, &a->names, e);
	if (r == 0 && !a->names)
		r = policy_has_names(pins, a->pod.audit, &a->names, e);
	return r;
}

union pod_key {
	uint32_t ifindex;
	struct slu_macvlan_key macvlan;
};

static enum bpf_map attach_key(const struct dp_attachment *a, union pod_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!a->macvlan) {
		ret->ifindex = a->ifindex;
		return BPF_MAP_PODS;
	}
	ret->macvlan.parent = a->ifindex;
	memcpy(ret->macvlan.mac, a->pod.mac, sizeof(ret->macvlan.mac));
	return BPF_MAP_MACVLANS;
}

static int hook_attach(struct bpf_pins *pins, uint32_t ifindex, const struct hook *h, struct err *e)
{
	int fd, r;

	r = bpf_prog_fd(pins, h->prog, &fd, e);
	if (r < 0)
		return r;
	return tc_attach(ifindex, h->dir, TC_MODE_AUTO, fd, e);
}

static int hook_detach(uint32_t ifindex, const struct hook *h, struct err *e)
{
	struct err own = {0};
	int r = tc_detach(ifindex, h->dir, bpf_prog_name(h->prog), &own);

	if (r == -ENODEV || r == -ENOENT)
		return 0;
	if (r < 0 && e)
		*e = own;
	return r;
}

static int hooks_attach(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	const struct hook *hooks;
	size_t n = attach_hooks(a, &hooks);

	for (size_t i = 0; i < n; i++) {
		int r = hook_attach(pins, a->ifindex, &hooks[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool same_pod(const struct slu_pod *a, const struct slu_pod *b)
{
	return a->naddr == b->naddr && memcmp(a->mac, b->mac, sizeof(a->mac)) == 0 &&
	       memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

/*
 * The pod's own entry is there and judges it meanwhile. Once that is the new one it stays, whatever
 * follows: a pod that went back to its policy of before would change it twice.
 */
static int attach_known(struct bpf_pins *pins, const struct dp_attachment *a,
			const struct slu_pod *old, struct err *e)
{
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	int r = hooks_attach(pins, a, e);

	if (r == 0 && memcmp(old, &a->pod, sizeof(*old)))
		r = bpf_map_set(pins, map, &key, &a->pod, e);
	return r;
}

/* A program that is there already stays when another one fails: it drops what has no entry. */
static int attach_new(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	int r = bpf_map_set(pins, map, &key, &a->pod, e);

	if (r < 0)
		return r;
	r = hooks_attach(pins, a, e);
	if (r < 0)
		bpf_map_delete(pins, map, &key, NULL);
	return r;
}

int dp_attach(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	struct slu_pod old;
	bool had;
	int r;

	r = bpf_map_lookup(pins, map, &key, &old, e);
	had = r == 0;
	if (had && same_pod(&old, &a->pod))
		r = attach_known(pins, a, &old, e);
	else if (had || r == -ENOENT)
		r = attach_new(pins, a, e);
	if (r == 0 && had && !a->macvlan && !a->names)
		r = hook_detach(a->ifindex, &veth_hooks[1], e);
	if (r < 0)
		err_wrap(e, "interface %u", a->ifindex);
	return r;
}

/* 1 if another pod of the same parent is in the map, 0 if not. */
static int macvlan_parent_used(struct bpf_pins *pins, uint32_t parent, struct err *e)
{
	__cleanup_free void *keys = NULL;
	__cleanup_free void *values = NULL;
	const struct slu_macvlan_key *k;
	size_t n = 0;
	int r;

	r = bpf_map_dump(pins, BPF_MAP_MACVLANS, &keys, &values, &n, e);
	if (r < 0)
		return r;
	k = keys;
	for (size_t i = 0; i < n; i++)
		if (k[i].parent == parent)
			return 1;
	return 0;
}

static int hooks_detach(const struct dp_attachment *a, struct err *e)
{
	const struct hook *hooks;
	size_t n = attach_hooks(a, &hooks);
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		int r = hook_detach(a->ifindex, &hooks[i], ret == 0 ? e : NULL);

		ret = ret ? ret : r;
	}
	return ret;
}

static int macvlan_detach(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	int r;

	r = bpf_map_delete(pins, map, &key, e);
	if (r < 0)
		return r;
	r = macvlan_parent_used(pins, a->ifindex, e);
	if (r != 0)
		return r < 0 ? r : 0;
	r = hooks_detach(a, e);
	if (r < 0)
		return r;
	/* an ADD that came between the look and the detach has its entry in the map by now */
	r = macvlan_parent_used(pins, a->ifindex, e);
	return r > 0 ? hooks_attach(pins, a, e) : r;
}

int dp_detach(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	int r;

	if (a->macvlan) {
		r = macvlan_detach(pins, a, e);
	} else {
		r = hooks_detach(a, e);
		if (r == 0)
			r = bpf_map_delete(pins, map, &key, e);
	}
	if (r < 0)
		err_wrap(e, "interface %u", a->ifindex);
	return r;
}

int dp_close(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	int r;

	if (a->macvlan)
		return dp_detach(pins, a, e);
	r = bpf_map_delete(pins, map, &key, e);
	if (r < 0)
		err_wrap(e, "interface %u", a->ifindex);
	return r;
}

static int hook_check(struct bpf_pins *pins, uint32_t ifindex, const struct hook *h, struct err *e)
{
	const char *dir = h->dir == TC_DIR_INGRESS ? "ingress" : "egress";
	const char *name = bpf_prog_name(h->prog);
	struct tc_state st = {0};
	uint32_t id;
	int r;

	r = bpf_prog_id(pins, h->prog, &id, e);
	if (r < 0)
		return r;
	r = tc_query(ifindex, h->dir, id, name, &st, e);
	if (r < 0)
		return r;
	if (!st.attached && st.other_ours)
		return err_set(e, -ESTALE, "%s at tc %s is of another version", name, dir);
	if (!st.attached)
		return err_set(e, -ENOENT, "%s is not attached at tc %s", name, dir);
	if (!st.reached)
		return err_set(e, -EBUSY,
			       "%s at tc %s is not reached: a filter before it takes the packets",
			       name, dir);
	return 0;
}

int dp_check(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e)
{
	const struct hook *hooks;
	size_t n = attach_hooks(a, &hooks);
	union pod_key key;
	enum bpf_map map = attach_key(a, &key);
	struct slu_pod have;
	int r;

	r = bpf_map_lookup(pins, map, &key, &have, e);
	if (r == -ENOENT)
		return err_set(e, r, "interface %u: no entry in map %s", a->ifindex,
			       bpf_map_name(map));
	if (r < 0) {
		err_wrap(e, "interface %u", a->ifindex);
		return r;
	}
	if (!(a->pod.flags & SLU_POD_KEEP)) /* comes and goes as connections end */
		have.flags &= ~SLU_POD_KEEP;
	have.audit = a->pod.audit; /* only counts; filled in when it is ready */
	if (memcmp(&have, &a->pod, sizeof(have)))
		return err_set(e, -ESTALE,
			       "interface %u: the entry in map %s differs (policy %u, expected %u)",
			       a->ifindex, bpf_map_name(map), have.policy, a->pod.policy);
	for (size_t i = 0; i < n; i++) {
		r = hook_check(pins, a->ifindex, &hooks[i], e);
		if (r < 0)
			err_wrap(e, "interface %u", a->ifindex);
	}
	return r;
}
