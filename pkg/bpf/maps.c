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
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/door.h"
#include "bpf/loader.h"

#define BATCH	   4096
#define CURSOR_MAX 64 /* hash: a bucket's number; LPM: a key */
#define CHUNK_SIZE (SLU_CHUNK_NODES * sizeof(struct slu_tree_node)) /* whole pages */

static const char *const prog_names[BPF_PROG_COUNT] = {
	[BPF_PROG_FROM_POD] = "slu_from_pod",
	[BPF_PROG_TO_POD] = "slu_to_pod",
	[BPF_PROG_TO_TUNNEL] = "slu_to_tunnel",
	[BPF_PROG_FROM_TUNNEL] = "slu_from_tunnel",
	[BPF_PROG_MACVLAN_EGRESS] = "slu_macvlan_out",
	[BPF_PROG_MACVLAN_INGRESS] = "slu_macvlan_in",
};

static const char *const map_names[BPF_MAP_COUNT] = {
	[BPF_MAP_PODS] = "pods",
	[BPF_MAP_MACVLANS] = "macvlans",
	[BPF_MAP_POLICIES] = "policies",
	[BPF_MAP_TREE] = "tree",
	[BPF_MAP_RANGES] = "ranges",
	[BPF_MAP_RULES] = "rules",
	[BPF_MAP_HITS] = "hits",
	[BPF_MAP_AUDITS] = "audits",
	[BPF_MAP_NAMED] = "named",
	[BPF_MAP_NAME_CLASSES] = "name_classes",
	[BPF_MAP_PATTERNS] = "patterns",
	[BPF_MAP_NAME_FLOWS] = "name_flows",
	[BPF_MAP_NAME_COUNTS] = "name_counts",
	[BPF_MAP_DNS_STREAMS] = "dns_streams",
	[BPF_MAP_EVENTS] = "events",
	[BPF_MAP_EVENT_LIMITS] = "event_limits",
	[BPF_MAP_EPOCH] = "epoch",
	[BPF_MAP_IDENTITIES] = "identities",
	[BPF_MAP_PICKS] = "picks",
	[BPF_MAP_ADDRS] = "addrs",
	[BPF_MAP_NODES] = "nodes",
	[BPF_MAP_SENDERS] = "senders",
	[BPF_MAP_OWNED] = "owned",
	[BPF_MAP_INSIDE] = "inside",
	[BPF_MAP_SERVICES] = "services",
	[BPF_MAP_CONFIG] = "config",
	[BPF_MAP_DROPS] = "drops",
	[BPF_MAP_INBOUND] = "inbound",
	[BPF_MAP_KEPT] = "kept",
};

struct bpf_pins {
	char *dir; /* with the version */
	int progs[BPF_PROG_COUNT];
	int maps[BPF_MAP_COUNT];
	struct slu_tree_node *chunks[SLU_MAX_CHUNKS]; /* mapped when first used; NULL = not yet */
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
	int r = access(config, F_OK) == 0 ? 0 : -errno;
	struct bpf_pins *p;

	if (r == -ENOENT)
		return err_set(e, r,
			       "BPF maps are not loaded: %s is not there: is sluiced running?",
			       config);
	if (r < 0)
		return err_sys(e, r, "BPF maps: look for %s", config);
	p = mem_alloc0(sizeof(*p));
	p->dir = TAKE(path);
	memset(p->progs, 0xff, sizeof(p->progs));
	memset(p->maps, 0xff, sizeof(p->maps));
	*ret = p;
	return 0;
}

static bool pin_there(const char *dir, const char *name)
{
	__cleanup_free char *path = mem_printf("%s/v%d/%s", dir, SLU_ABI, name);

	return access(path, F_OK) == 0 || errno != ENOENT;
}

bool bpf_pins_whole(const char *dir)
{
	for (size_t i = 0; i < BPF_PROG_COUNT; i++)
		if (!pin_there(dir, prog_names[i]))
			return false;
	for (size_t i = 0; i < BPF_MAP_COUNT; i++)
		if (!pin_there(dir, map_names[i]))
			return false;
	return true;
}

void bpf_pins_close(struct bpf_pins *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < BPF_PROG_COUNT; i++)
		cleanup_closep(&p->progs[i]);
	for (size_t i = 0; i < BPF_MAP_COUNT; i++)
		cleanup_closep(&p->maps[i]);
	for (size_t i = 0; i < SLU_MAX_CHUNKS; i++) {
		if (p->chunks[i])
			munmap(p->chunks[i], CHUNK_SIZE);
	}
	free(p->dir);
	free(p);
}

const char *bpf_pins_folder(const struct bpf_pins *p)
{
	return p->dir;
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

static bool is_pods(enum bpf_map m)
{
	return m == BPF_MAP_PODS || m == BPF_MAP_MACVLANS;
}

/* The first word of both keys is the device. */
static struct slu_pod pod_seal(const void *key, const struct slu_pod *pod)
{
	struct slu_pod sealed = *pod;
	uint32_t device, decides[SLU_POD_DECIDES] = {pod->policy, pod->audit, pod->flags,
						     pod->spread, pod->tenant};
	uint16_t mac[3];

	memcpy(&device, key, sizeof(device));
	memcpy(mac, pod->mac, sizeof(mac));
	sealed.check = slu_pod_check(device, decides, mac);
	return sealed;
}

static int map_update(int fd, enum bpf_map m, const void *key, const void *value, uint64_t flags,
		      struct err *e)
{
	struct slu_pod pod;

	if (is_pods(m)) {
		pod = pod_seal(key, value);
		value = &pod;
	}
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
	if (is_pods(m))
		((struct slu_pod *)value)->check = 0;
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
	uint32_t ask = BATCH;
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

static int value_size(int fd, size_t *ret)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	*ret = info.value_size;
	return 0;
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
	for (size_t i = 0; is_pods(m) && i < d.n; i++)
		((struct slu_pod *)(void *)d.values)[i].check = 0;
	*ret_n = d.n;
	*ret_keys = TAKE(d.keys);
	*ret_values = TAKE(d.values);
	return 0;
}

int bpf_map_write(struct bpf_pins *p, enum bpf_map m, uint32_t first, const void *values, size_t n,
		  struct err *e)
{
	int fd, rc = bpf_map_fd(p, m, &fd, e);
	size_t size = 0;

	if (!rc)
		rc = value_size(fd, &size);
	for (size_t done = 0; !rc && done < n;) {
		uint32_t count = n - done < BATCH ? (uint32_t)(n - done) : BATCH, keys[BATCH];

		for (uint32_t i = 0; i < count; i++)
			keys[i] = first + (uint32_t)done + i;
		rc = bpf_map_update_batch(fd, keys, (const uint8_t *)values + done * size, &count,
					  NULL);
		done += count;
	}
	if (rc)
		return err_sys(e, rc, "map %s: write %zu from %u on", map_names[m], n, first);
	return 0;
}

/* The kernel's cursor is the last key that was read. */
int bpf_map_read(struct bpf_pins *p, enum bpf_map m, uint32_t first, void *values, size_t n,
		 struct err *e)
{
	int fd, rc = bpf_map_fd(p, m, &fd, e);
	size_t size = 0;

	if (!rc)
		rc = value_size(fd, &size);
	for (size_t done = 0; !rc && done < n;) {
		uint32_t count = n - done < BATCH ? (uint32_t)(n - done) : BATCH, keys[BATCH];
		uint32_t last = first + (uint32_t)done - 1, next;

		rc = bpf_map_lookup_batch(fd, first + done ? &last : NULL, &next, keys,
					  (uint8_t *)values + done * size, &count, NULL);
		done += count;
		if (rc == -ENOENT && done == n)
			rc = 0;
	}
	if (rc)
		return err_sys(e, rc, "map %s: read %zu from %u on", map_names[m], n, first);
	return 0;
}

/* ---- the tree ---- */

static int chunk_map(int fd, struct slu_tree_node **ret)
{
	void *at = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*ret = at;
	return 0;
}

/* The chunk as it is there; -ENOENT: it is not. */
static int chunk_open(int tree, uint32_t chunk, struct slu_tree_node **ret)
{
	__cleanup_close int fd = -1;
	uint32_t id;

	if (bpf_map_lookup_elem(tree, &chunk, &id))
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? fd : chunk_map(fd, ret);
}

static int chunk_make(int tree, uint32_t chunk, struct slu_tree_node **ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	__cleanup_close int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "slu_tree", sizeof(uint32_t),
						sizeof(struct slu_tree_node), SLU_CHUNK_NODES,
						&opts);

	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(tree, &chunk, &fd, BPF_ANY))
		return -errno;
	return chunk_map(fd, ret);
}

static int chunk_get(struct bpf_pins *p, uint32_t chunk, bool make, struct err *e)
{
	int tree, rc = bpf_map_fd(p, BPF_MAP_TREE, &tree, e);

	if (rc)
		return rc;
	if (chunk >= SLU_MAX_CHUNKS)
		return err_set(e, -ENOSPC, "map tree: no place for a node in chunk %u", chunk);
	if (p->chunks[chunk])
		return 0;
	rc = chunk_open(tree, chunk, &p->chunks[chunk]);
	if (rc == -ENOENT && make)
		rc = chunk_make(tree, chunk, &p->chunks[chunk]);
	return rc ? err_sys(e, rc, "map tree: chunk %u", chunk) : 0;
}

int bpf_tree_write(struct bpf_pins *p, uint32_t first, const struct slu_tree_node *nodes, size_t n,
		   struct err *e)
{
	for (size_t done = 0, count; done < n; done += count) {
		uint32_t chunk = (first + (uint32_t)done) / SLU_CHUNK_NODES;
		uint32_t at = (first + (uint32_t)done) % SLU_CHUNK_NODES;
		int rc = chunk_get(p, chunk, true, e);

		if (rc)
			return rc;
		count = n - done < SLU_CHUNK_NODES - at ? n - done : SLU_CHUNK_NODES - at;
		memcpy(p->chunks[chunk] + at, nodes + done, count * sizeof(*nodes));
	}
	return 0;
}

const struct slu_tree_node *bpf_tree_node(void *pins, uint32_t node)
{
	struct bpf_pins *p = pins;
	struct err e = {};

	if (chunk_get(p, node / SLU_CHUNK_NODES, false, &e))
		return NULL;
	return p->chunks[node / SLU_CHUNK_NODES] + node % SLU_CHUNK_NODES;
}

int bpf_epoch_bump(struct bpf_pins *p, struct err *e)
{
	uint32_t zero = 0, now;
	int rc = bpf_map_lookup(p, BPF_MAP_EPOCH, &zero, &now, e);

	now++;
	return rc ? rc : bpf_map_set(p, BPF_MAP_EPOCH, &zero, &now, e);
}
