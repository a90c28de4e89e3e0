/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/doc.h"

struct pattern {
	char *text; /* "*.example.com" */
	uint32_t id;
	bool wanted; /* by the last apply */
};

struct names {
	struct pattern *items; /* sorted by text */
	size_t n;
	uint32_t last;	    /* the highest id that was ever given out */
	uint64_t full;	    /* answers that were not learned for want of room, so far */
	uint64_t pushed;    /* addresses that others of the same namespace pushed out */
	bool counted, told; /* both are of this process; that nobody is asked was said */
};

/* "*.example.com" stands under "example.com", and is its `below`. */
static bool pattern_key(const char *text, struct slu_name *ret)
{
	bool below = strncmp(text, "*.", 2) == 0;
	const char *name = below ? text + 2 : text;
	size_t n = strlen(name);

	*ret = (struct slu_name){.text = ""};
	for (size_t i = 0; i < n && i < sizeof(ret->text); i++)
		ret->text[i] = name[n - 1 - i];
	return below;
}

char *names_text(const struct slu_name *key, bool below)
{
	size_t n = strnlen(key->text, sizeof(key->text));
	char *text = mem_alloc0(n + 3), *name = below ? text + 2 : text;

	if (below)
		memcpy(text, "*.", 2);
	for (size_t i = 0; i < n; i++)
		name[i] = key->text[n - 1 - i];
	return text;
}

static int pattern_cmp(const void *a, const void *b)
{
	const struct pattern *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static void pattern_add(struct names *n, char *text, uint32_t id)
{
	MEM_GROW(n->items, n->n);
	n->items[n->n++] = (struct pattern){.text = text, .id = id};
	n->last = id > n->last ? id : n->last;
}

static void patterns_sort(struct names *n)
{
	if (n->n)
		qsort(n->items, n->n, sizeof(*n->items), pattern_cmp);
}

static struct pattern *pattern_find(const struct names *n, const char *text)
{
	struct pattern key = {.text = mem_strdup(text)}, *found = NULL;

	if (n->n)
		found = bsearch(&key, n->items, n->n, sizeof(key), pattern_cmp);
	free(key.text);
	return found;
}

int names_load(struct bpf_pins *pins, struct names **ret, struct err *e)
{
	__cleanup_free void *keys = NULL;
	__cleanup_free void *values = NULL;
	const struct slu_pattern *v;
	const struct slu_name *k;
	struct names *names;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_PATTERNS, &keys, &values, &n, e);

	if (r < 0)
		return r;
	names = mem_alloc0(sizeof(*names));
	k = keys;
	v = values;
	for (size_t i = 0; i < n; i++) {
		if (!k[i].text[0]) {
			names->last = v[i].exact > names->last ? v[i].exact : names->last;
			continue;
		}
		if (v[i].exact)
			pattern_add(names, names_text(&k[i], false), v[i].exact);
		if (v[i].below)
			pattern_add(names, names_text(&k[i], true), v[i].below);
	}
	patterns_sort(names);
	*ret = names;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		free(n->items[i].text);
	free(n->items);
	free(n);
}

/* The element of the pattern's name, with this id in the pattern's place. */
static int pattern_write(struct bpf_pins *pins, const char *text, uint32_t id, struct err *e)
{
	struct slu_pattern v = {0};
	struct slu_name key;
	bool below = pattern_key(text, &key);
	int r = bpf_map_lookup(pins, BPF_MAP_PATTERNS, &key, &v, e);

	if (r < 0 && r != -ENOENT)
		return r;
	*(below ? &v.below : &v.exact) = id;
	if (!v.exact && !v.below)
		r = bpf_map_delete(pins, BPF_MAP_PATTERNS, &key, e);
	else
		r = bpf_map_set(pins, BPF_MAP_PATTERNS, &key, &v, e);
	if (r < 0)
		err_wrap(e, "name %s", text);
	return r;
}

/* Before an id is used: so that no other pattern ever gets it, whatever happens next. */
static int last_write(struct bpf_pins *pins, uint32_t last, struct err *e)
{
	struct slu_name none = {.text = ""};
	struct slu_pattern v = {.exact = last};

	return bpf_map_set(pins, BPF_MAP_PATTERNS, &none, &v, e);
}

int names_apply(struct names *n, struct bpf_pins *pins, const char *const *patterns, size_t count,
		uint32_t *ids, struct err *e)
{
	size_t room = n->n < SLU_MAX_PATTERNS - 1 ? SLU_MAX_PATTERNS - 1 - n->n : 0, fresh = 0;
	int r = 0;

	for (size_t i = 0; i < n->n; i++)
		n->items[i].wanted = false;
	for (size_t i = 0; i < count; i++) {
		struct pattern *p = pattern_find(n, patterns[i]);

		ids[i] = p ? p->id : 0;
		if (p)
			p->wanted = true;
		fresh += !p;
	}
	if (room > SLU_NAME_GONE - 1 - n->last)
		room = SLU_NAME_GONE - 1 - n->last;
	fresh = fresh < room ? fresh : room;
	if (!fresh)
		return 0;
	r = last_write(pins, n->last + (uint32_t)fresh, e);
	for (size_t i = 0; r == 0 && fresh && i < count; i++) {
		uint32_t id = n->last + 1;

		if (ids[i])
			continue;
		fresh--;
		r = pattern_write(pins, patterns[i], id, e);
		if (r == 0) {
			pattern_add(n, mem_strdup(patterns[i]), id);
			n->items[n->n - 1].wanted = true;
			ids[i] = id;
		}
	}
	patterns_sort(n);
	return r;
}

static int id_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Whose the most addresses are. */
static uint32_t crowd(struct bpf_pins *pins, size_t *ret_n)
{
	__cleanup_free struct slu_named_key *keys = NULL;
	__cleanup_free void *values = NULL;
	__cleanup_free uint32_t *tenants = NULL;
	uint32_t most = 0;
	size_t n = 0, run = 0;

	*ret_n = 0;
	if (bpf_map_dump(pins, BPF_MAP_NAMED, (void **)&keys, &values, &n, NULL) < 0)
		return 0;
	tenants = mem_alloc0(n * sizeof(*tenants));
	for (size_t i = 0; i < n; i++)
		tenants[i] = keys[i].tenant;
	if (n)
		qsort(tenants, n, sizeof(*tenants), id_cmp);
	for (size_t i = 0; i < n; i++) {
		run = i && tenants[i] == tenants[i - 1] ? run + 1 : 1;
		if (run > *ret_n) {
			*ret_n = run;
			most = tenants[i];
		}
	}
	return most;
}

static void crowd_warn(struct bpf_pins *pins, uint64_t pushed, names_tenant_fn *tenant_name,
		       void *data)
{
	size_t n;
	uint32_t tenant = crowd(pins, &n);
	const char *namespace = tenant_name(data, tenant);

	log_warn("a namespace has more addresses of names than its share: its oldest ones are "
		 "forgotten, and new connections to them refused until they are looked up again",
		 "namespace=%s addresses=%zu forgotten=%llu", namespace ? namespace : "?", n,
		 (unsigned long long)pushed);
}

void names_warn(struct names *n, struct bpf_pins *pins, const struct doc_config *conf,
		names_tenant_fn *tenant_name, void *data)
{
	uint64_t counts[SLU_NAMES_MAX];
	bool unasked = n->n && (!conf || !conf->n_resolvers);

	if (unasked && !n->told)
		log_warn("rules have names, but SluiceConfig names no dns.resolvers: none is "
			 "learned",
			 "patterns=%zu", n->n);
	n->told = unasked;
	if (!n->n || bpf_name_counts(pins, counts, NULL) < 0)
		return;
	if (n->counted && counts[SLU_NAMES_FULL] > n->full)
		log_warn("no room for what names lead to: new connections to it are refused",
			 "answers=%llu addresses=%u",
			 (unsigned long long)(counts[SLU_NAMES_FULL] - n->full), SLU_MAX_NAMED);
	if (n->counted && counts[SLU_NAMES_PUSHED] > n->pushed)
		crowd_warn(pins, counts[SLU_NAMES_PUSHED] - n->pushed, tenant_name, data);
	n->full = counts[SLU_NAMES_FULL];
	n->pushed = counts[SLU_NAMES_PUSHED];
	n->counted = true;
}

int names_retire(struct names *n, struct bpf_pins *pins, const uint32_t *used, size_t n_used,
		 struct err *e)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < n->n; i++) {
		struct pattern *p = &n->items[i];

		if (r == 0 && !p->wanted &&
		    !(n_used && bsearch(&p->id, used, n_used, sizeof(p->id), id_cmp))) {
			r = pattern_write(pins, p->text, 0, e);
			if (r == 0) {
				free(p->text);
				continue;
			}
		}
		n->items[kept++] = *p;
	}
	n->n = kept;
	return r;
}
