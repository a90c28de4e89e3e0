/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of which each processor has its own: people see the sum. All fields are 64-bit. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/door.h"
#include "bpf/maps.h"

#define WORDS_MAX 8

/* A map's elements [first, first + n), words numbers each. */
struct counters {
	enum bpf_map map;
	uint32_t first;
	size_t n, words;
};

static int processors(struct err *e)
{
	int n = libbpf_num_possible_cpus();

	return n < 0 ? err_sys(e, n, "count of CPUs") : n;
}

static int counters_sum(struct bpf_pins *p, const struct counters *c, __u64 *ret, struct err *e)
{
	int fd, cpus = processors(e), rc = cpus < 0 ? cpus : bpf_map_fd(p, c->map, &fd, e);
	__cleanup_free uint64_t *per_cpu = NULL;

	if (rc < 0)
		return rc;
	per_cpu = mem_alloc0((size_t)cpus * WORDS_MAX * sizeof(*per_cpu));
	memset(ret, 0, c->n * c->words * sizeof(*ret));
	for (size_t i = 0; i < c->n; i++, ret += c->words) {
		uint32_t at = c->first + (uint32_t)i;

		if (bpf_map_lookup_elem(fd, &at, per_cpu))
			return err_sys(e, -errno, "map %s: element %u", bpf_map_name(c->map), at);
		for (size_t k = 0; k < c->words * (size_t)cpus; k++)
			ret[k % c->words] += per_cpu[k];
	}
	return 0;
}

static int counter_clear(struct bpf_pins *p, enum bpf_map map, uint32_t at, struct err *e)
{
	int fd, cpus = processors(e), rc = cpus < 0 ? cpus : bpf_map_fd(p, map, &fd, e);
	__cleanup_free uint64_t *per_cpu = NULL;

	if (rc < 0)
		return rc;
	per_cpu = mem_alloc0((size_t)cpus * WORDS_MAX * sizeof(*per_cpu));
	if (bpf_map_update_elem(fd, &at, per_cpu, BPF_ANY))
		return err_sys(e, -errno, "map %s: element %u", bpf_map_name(map), at);
	return 0;
}

int bpf_drops(struct bpf_pins *p, struct slu_count *counts, struct err *e)
{
	return counters_sum(p, &(struct counters){BPF_MAP_DROPS, 0, SLU_REASON_MAX, 2},
			    &counts->packets, e);
}

int bpf_audits(struct bpf_pins *p, struct slu_count *counts, struct err *e)
{
	return counters_sum(p, &(struct counters){BPF_MAP_AUDITS, 0, SLU_AUDIT_MAX, 2},
			    &counts->packets, e);
}

int bpf_name_counts(struct bpf_pins *p, uint64_t *counts, struct err *e)
{
	return counters_sum(p, &(struct counters){BPF_MAP_NAME_COUNTS, 0, SLU_NAMES_MAX, 1},
			    (__u64 *)counts, e);
}

int bpf_hits(struct bpf_pins *p, uint32_t first, size_t n, struct slu_hit *ret, struct err *e)
{
	return counters_sum(p, &(struct counters){BPF_MAP_HITS, first, n, 3}, &ret->connections, e);
}

int bpf_event_limits(struct bpf_pins *p, uint32_t first, size_t n, struct slu_event_limit *ret,
		     struct err *e)
{
	return counters_sum(p, &(struct counters){BPF_MAP_EVENT_LIMITS, first, n, 4}, &ret->second,
			    e);
}

int bpf_hits_reset(struct bpf_pins *p, uint32_t counter, struct err *e)
{
	int rc = counter_clear(p, BPF_MAP_HITS, counter, e);

	return rc ? rc : counter_clear(p, BPF_MAP_EVENT_LIMITS, counter, e);
}

_Static_assert(sizeof(struct slu_count) == 2 * 8 && sizeof(struct slu_hit) == 3 * 8 &&
		       sizeof(struct slu_event_limit) == 4 * 8,
	       "words");
