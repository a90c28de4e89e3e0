/* SPDX-License-Identifier: Apache-2.0 */
#include "known_names.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/maps.h"
#include "reconcile/names.h"

DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);

static bool holds(const struct slu_named *named, uint32_t id)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	for (size_t i = 0; id && i < SLU_MAX_NAMES_AT; i++)
		if (named->at[i].name == id && named->at[i].until > now.tv_sec)
			return true;
	return false;
}

static int text_cmp(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

/* A pattern that no rule has any more is in no policy either. */
static void note(const struct compiled *c, const struct slu_name *key, bool below, uint32_t **list,
		 size_t *n)
{
	__cleanup_free char *text = names_text(key, below);
	size_t n_all;
	const char *const *all = compiled_names(c, &n_all), *const * at;

	at = n_all ? bsearch(text, all, n_all, sizeof(*all), text_cmp) : NULL;
	if (!at)
		return;
	MEM_GROW(*list, *n);
	(*list)[(*n)++] = (uint32_t)(at - all);
}

static int place_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void known_names(const char *bpffs, const struct compiled *c, const struct explain_query *q,
		 uint32_t **ret, size_t *ret_n)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	__cleanup_free struct slu_name *keys = NULL;
	__cleanup_free struct slu_pattern *ids = NULL;
	const struct slu_named_key key = {slu_addr_make(q->dst), pod_tenant(q->pod.namespace)};
	struct slu_named named;
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (bpf_pins_open(bpffs, &pins, NULL) < 0 ||
	    bpf_map_lookup(pins, BPF_MAP_NAMED, &key, &named, NULL) < 0 ||
	    bpf_map_dump(pins, BPF_MAP_PATTERNS, (void **)&keys, (void **)&ids, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (holds(&named, ids[i].exact))
			note(c, &keys[i], false, ret, ret_n);
		if (holds(&named, ids[i].below))
			note(c, &keys[i], true, ret, ret_n);
	}
	if (*ret_n)
		qsort(*ret, *ret_n, sizeof(**ret), place_cmp);
}
