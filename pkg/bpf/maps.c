/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins are opened when first used: ADD needs two of them, and each costs a
 * system call. Sizes of keys and values are the kernel's to know; this file asks
 * it where it needs them (dump), so that abi.h stays the only place that says.
 */
#include "bpf/maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/door.h"

#define DUMP_BATCH    4096
#define CURSOR_MAX    64 /* hash: a bucket's number; LPM: a key */
#define POLICY_PREFIX "slu_policy"

static const char *const prog_names[BPF_PROG_COUNT] = {
	[BPF_PROG_FROM_POD] = "slu_from_pod",
	[BPF_PROG_TO_TUNNEL] = "slu_to_tunnel",
	[BPF_PROG_FROM_TUNNEL] = "slu_from_tunnel",
	[BPF_PROG_MACVLAN_EGRESS] = "slu_macvlan_out",
	[BPF_PROG_MACVLAN_INGRESS] = "slu_macvlan_in",
};

static const char *const map_names[BPF_MAP_COUNT] = {
	[BPF_MAP_PODS] = "pods",
	[BPF_MAP_MACVLANS] = "macvlans",
	[BPF_MAP_POLICIES] = "policies",
	[BPF_MAP_RANGES] = "ranges",
	[BPF_MAP_IDENTITIES] = "identities",
	[BPF_MAP_PICKS] = "picks",
	[BPF_MAP_ADDRS] = "addrs",
	[BPF_MAP_NODES] = "nodes",
	[BPF_MAP_SENDERS] = "senders",
	[BPF_MAP_OWNED] = "owned",
	[BPF_MAP_INSIDE] = "inside",
	[BPF_MAP_CONFIG] = "config",
	[BPF_MAP_DROPS] = "drops",
	[BPF_MAP_INBOUND] = "inbound",
	[BPF_MAP_KEPT] = "kept",
};

struct bpf_pins {
	char *dir; /* with the version */
	int progs[BPF_PROG_COUNT];
	int maps[BPF_MAP_COUNT];
};

const char *bpf_prog_name(enum bpf_prog p)
{
	return prog_names[p];
}

const char *bpf_map_name(enum bpf_map m)
{
	return map_names[m];
}

int bpf_pins_open(const char *dir, struct bpf_pins **ret, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/v%d", dir, SLU_ABI);
	__cleanup_free char *config = mem_printf("%s/%s", path, map_names[BPF_MAP_CONFIG]);
	struct bpf_pins *p;

	if (access(config, F_OK))
		return err_sys(e, -errno, "BPF maps are not loaded: %s", config);
	p = mem_alloc0(sizeof(*p));
	p->dir = TAKE(path);
	memset(p->progs, 0xff, sizeof(p->progs));
	memset(p->maps, 0xff, sizeof(p->maps));
	*ret = p;
	return 0;
}

void bpf_pins_close(struct bpf_pins *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < BPF_PROG_COUNT; i++)
		cleanup_closep(&p->progs[i]);
	for (size_t i = 0; i < BPF_MAP_COUNT; i++)
		cleanup_closep(&p->maps[i]);
	free(p->dir);
	free(p);
}

static int pin_open(const struct bpf_pins *p, const char *name, int *fd, struct err *e)
{
	__cleanup_free char *path = NULL;

	if (*fd >= 0)
		return 0;
	path = mem_printf("%s/%s", p->dir, name);
	*fd = bpf_obj_get(path);
	return *fd < 0 ? err_sys(e, -errno, "open pin %s", path) : 0;
}

int bpf_prog_fd(struct bpf_pins *p, enum bpf_prog prog, int *ret_fd, struct err *e)
{
	int rc = pin_open(p, prog_names[prog], &p->progs[prog], e);

	if (!rc)
		*ret_fd = p->progs[prog];
	return rc;
}

int bpf_prog_id(struct bpf_pins *p, enum bpf_prog prog, uint32_t *ret_id, struct err *e)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int fd, rc = bpf_prog_fd(p, prog, &fd, e);

	if (rc)
		return rc;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return err_sys(e, -errno, "program %s", prog_names[prog]);
	*ret_id = info.id;
	return 0;
}

int bpf_map_fd(struct bpf_pins *p, enum bpf_map map, int *ret_fd, struct err *e)
{
	int rc = pin_open(p, map_names[map], &p->maps[map], e);

	if (!rc)
		*ret_fd = p->maps[map];
	return rc;
}

static int map_update(int fd, enum bpf_map m, const void *key, const void *value, uint64_t flags,
		      struct err *e)
{
	if (bpf_map_update_elem(fd, key, value, flags))
		return err_sys(e, -errno, "map %s: set", map_names[m]);
	return 0;
}

int bpf_map_set(struct bpf_pins *p, enum bpf_map m, const void *key, const void *value,
		struct err *e)
{
	int fd, rc = bpf_map_fd(p, m, &fd, e);

	return rc ? rc : map_update(fd, m, key, value, BPF_ANY, e);
}

int bpf_map_change(struct bpf_pins *p, enum bpf_map m, const void *key, const void *value,
		   struct err *e)
{
	int fd, rc = bpf_map_fd(p, m, &fd, e);

	return rc ? rc : map_update(fd, m, key, value, BPF_EXIST, e);
}

int bpf_map_lookup(struct bpf_pins *p, enum bpf_map m, const void *key, void *value, struct err *e)
{
	int fd, rc = bpf_map_fd(p, m, &fd, e);

	if (rc)
		return rc;
	if (bpf_map_lookup_elem(fd, key, value))
		return err_sys(e, -errno, "map %s: look up", map_names[m]);
	return 0;
}

int bpf_map_delete(struct bpf_pins *p, enum bpf_map m, const void *key, struct err *e)
{
	int fd, rc = bpf_map_fd(p, m, &fd, e);

	if (rc)
		return rc;
	if (bpf_map_delete_elem(fd, key) && errno != ENOENT)
		return err_sys(e, -errno, "map %s: delete", map_names[m]);
	return 0;
}

struct dump {
	uint8_t *keys, *values;
	size_t n, room, key_size, value_size;
};

static void dump_done(struct dump *d)
{
	free(d->keys);
	free(d->values);
}

static void dump_reserve(struct dump *d, size_t more)
{
	if (d->n + more <= d->room)
		return;
	d->room = (d->n + more) * 2;
	d->keys = mem_resize(d->keys, d->room, d->key_size);
	d->values = mem_resize(d->values, d->room, d->value_size);
}

/*
 * In batches: the kernel's cursor is a place in the table and not an element, so
 * that a pod that is removed meanwhile does not send us back to the start. A
 * bucket that does not fit is ENOSPC: ask for more at once.
 */
static int dump_fd(int fd, struct dump *d)
{
	uint8_t cursors[2][CURSOR_MAX];
	uint32_t ask = DUMP_BATCH;
	bool begun = false;

	for (int in = 0;;) {
		uint32_t n = ask;
		int rc;

		dump_reserve(d, n);
		rc = bpf_map_lookup_batch(fd, begun ? cursors[in] : NULL, cursors[!in],
					  d->keys + d->n * d->key_size,
					  d->values + d->n * d->value_size, &n, NULL);
		if (rc == -ENOSPC) {
			ask *= 2;
			continue;
		}
		if (rc && rc != -ENOENT)
			return rc;
		d->n += n;
		if (rc)
			return 0;
		begun = true;
		in = !in;
	}
}

static int dump_open(int fd, struct dump *d)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	d->key_size = info.key_size;
	d->value_size = info.value_size;
	return dump_fd(fd, d);
}

int bpf_map_dump(struct bpf_pins *p, enum bpf_map m, void **ret_keys, void **ret_values,
		 size_t *ret_n, struct err *e)
{
	__cleanup(dump_done) struct dump d = {};
	int fd, rc = bpf_map_fd(p, m, &fd, e);

	if (rc)
		return rc;
	rc = dump_open(fd, &d);
	if (rc)
		return err_sys(e, rc, "map %s: dump", map_names[m]);
	*ret_n = d.n;
	*ret_keys = TAKE(d.keys);
	*ret_values = TAKE(d.values);
	return 0;
}

/* LPM tries take batches since 5.13; what the programs need (the tunnel key's local end) is of 6.0.
 */
static int policy_fill(int fd, const struct slu_lpm_key *keys, const struct slu_class *classes,
		       size_t n)
{
	for (size_t done = 0; done < n;) {
		uint32_t count = n - done > UINT32_MAX ? UINT32_MAX : (uint32_t)(n - done);

		if (bpf_map_update_batch(fd, keys + done, classes + done, &count, NULL))
			return -errno;
		done += count;
	}
	return 0;
}

int bpf_policy_set(struct bpf_pins *p, uint32_t policy, const struct slu_lpm_key *keys,
		   const struct slu_class *classes, size_t n, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	__cleanup_close int inner = -1;
	int outer, rc = bpf_map_fd(p, BPF_MAP_POLICIES, &outer, e);

	if (rc)
		return rc;
	inner = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, POLICY_PREFIX, sizeof(*keys),
			       sizeof(*classes), SLU_MAX_PREFIXES, &opts);
	if (inner < 0)
		return err_sys(e, inner, "policy %u: create map", policy);
	rc = policy_fill(inner, keys, classes, n);
	if (rc)
		return err_sys(e, rc, "policy %u: %zu prefixes", policy, n);
	if (bpf_map_update_elem(outer, &policy, &inner, BPF_ANY))
		return err_sys(e, -errno, "policy %u: switch", policy);
	return 0;
}

int bpf_policy_dump(struct bpf_pins *p, uint32_t policy, struct slu_lpm_key **ret_keys,
		    struct slu_class **ret_classes, size_t *ret_n, struct err *e)
{
	__cleanup(dump_done) struct dump d = {};
	__cleanup_close int inner = -1;
	uint32_t id;
	int rc = bpf_map_lookup(p, BPF_MAP_POLICIES, &policy, &id, e);

	if (rc)
		return rc;
	inner = bpf_map_get_fd_by_id(id);
	if (inner < 0)
		return err_sys(e, inner, "policy %u: open map %u", policy, id);
	rc = dump_open(inner, &d);
	if (rc)
		return err_sys(e, rc, "policy %u: dump", policy);
	*ret_n = d.n;
	*ret_keys = (void *)TAKE(d.keys);
	*ret_classes = (void *)TAKE(d.values);
	return 0;
}

int bpf_drops(struct bpf_pins *p, struct slu_count *counts, struct err *e)
{
	int fd, cpus = libbpf_num_possible_cpus(), rc = bpf_map_fd(p, BPF_MAP_DROPS, &fd, e);
	__cleanup_free struct slu_count *per_cpu = NULL;

	if (rc)
		return rc;
	if (cpus < 0)
		return err_sys(e, cpus, "count of CPUs");
	per_cpu = mem_alloc0((size_t)cpus * sizeof(*per_cpu));
	memset(counts, 0, SLU_REASON_MAX * sizeof(*counts));
	for (uint32_t reason = 0; reason < SLU_REASON_MAX; reason++) {
		if (bpf_map_lookup_elem(fd, &reason, per_cpu))
			return err_sys(e, -errno, "map drops");
		for (int cpu = 0; cpu < cpus; cpu++) {
			counts[reason].packets += per_cpu[cpu].packets;
			counts[reason].bytes += per_cpu[cpu].bytes;
		}
	}
	return 0;
}

_Static_assert(sizeof(struct slu_addr) == sizeof(struct addr), "one representation");

struct slu_addr slu_addr_make(struct addr a)
{
	struct slu_addr s;

	memcpy(&s, &a, sizeof(s));
	return s;
}

struct addr slu_addr_get(struct slu_addr a)
{
	struct addr r;

	memcpy(&r, &a, sizeof(r));
	return r;
}

struct slu_lpm_key slu_lpm_key_make(struct cidr c)
{
	return (struct slu_lpm_key){.prefixlen = c.len, .addr = slu_addr_make(c.addr)};
}
