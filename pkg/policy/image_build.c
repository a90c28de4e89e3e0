/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an image. The part that depends on the policies alone is built once per
 * compile and kept; a publication copies it and adds the programs that are in the
 * kernel by then, so that a pod start that needs a new one costs a copy.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/hash_index.h"
#include "policy/image_format.h"

#define MAX_INDEX_VALUES 64 /* an In with more values than this indexes nothing */

struct bytes {
	uint8_t *data;
	size_t len, room;
	size_t base; /* that come before those of data */
};

struct member {
	uint64_t hash;
	uint32_t policy;
};

struct known_labels {
	const struct label *items;
	struct image_span span;
};

#define KNOWN_LABELS 1024 /* a power of two */

struct builder {
	struct bytes sections[IMAGE_SECTIONS];
	struct hash_index strings;
	uint32_t *string_offsets; /* by entry of strings */
	struct hash_index labels;
	struct image_span *label_spans; /* by entry of labels */
	struct known_labels known[KNOWN_LABELS];
	struct member *members;
	size_t n_members;
};

const uint32_t image_record_size[IMAGE_SECTIONS] = {
	[IMAGE_STRINGS] = 1,
	[IMAGE_VALUES] = sizeof(uint32_t),
	[IMAGE_REQS] = sizeof(struct image_req),
	[IMAGE_SELECTORS] = sizeof(struct image_span),
	[IMAGE_POLICIES] = sizeof(struct image_policy),
	[IMAGE_BUCKETS] = sizeof(struct image_bucket),
	[IMAGE_MEMBERS] = sizeof(uint32_t),
	[IMAGE_LABELS] = sizeof(struct image_label),
	[IMAGE_NAMESPACES] = sizeof(struct image_namespace),
	[IMAGE_PODS] = sizeof(struct image_pod),
	[IMAGE_PROGRAMS] = sizeof(struct image_program_rec),
	[IMAGE_EXEMPT] = 1,
};

#define CHECKED_FROM (offsetof(struct image_header, checksum) + sizeof(uint64_t))

uint64_t image_checksum(const void *data, size_t len)
{
	return hash_bytes((const uint8_t *)data + CHECKED_FROM, len - CHECKED_FROM, IMAGE_VERSION);
}

uint64_t image_bucket_hash(enum image_bucket_kind kind, const char *namespace, const char *key,
			   const char *value)
{
	return hash_str(value, hash_str(key, hash_str(namespace, kind)));
}

static void reserve(struct bytes *b, size_t room)
{
	b->data = mem_resize(b->data, room, 1);
	b->room = room;
}

static void put(struct bytes *b, const void *data, size_t len)
{
	if (b->len + len > b->room)
		reserve(b, (b->len + len) * 3 / 2 + 64);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

static uint32_t count(const struct builder *b, enum image_section s)
{
	return (uint32_t)(b->sections[s].len / image_record_size[s]);
}

static void add(struct builder *b, enum image_section s, const void *record)
{
	put(&b->sections[s], record, image_record_size[s]);
}

/* Nobody else is likely to say it. */
static uint32_t put_string(struct builder *b, const char *s)
{
	struct bytes *text = &b->sections[IMAGE_STRINGS];
	uint32_t offset = (uint32_t)text->len;

	put(text, s, strlen(s) + 1);
	return offset;
}

static uint32_t add_string(struct builder *b, const char *s)
{
	struct bytes *text = &b->sections[IMAGE_STRINGS];
	uint64_t hash = hash_str(s, 0);
	uint32_t offset = (uint32_t)text->len, i;

	for (i = hash_index_first(&b->strings, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&b->strings, i))
		if (strcmp((const char *)text->data + b->string_offsets[i], s) == 0)
			return b->string_offsets[i];
	put_string(b, s);
	i = hash_index_add(&b->strings, hash);
	MEM_GROW(b->string_offsets, i);
	b->string_offsets[i] = offset;
	return offset;
}

static struct image_span add_selector(struct builder *b, const struct selector *s)
{
	struct image_span span = {count(b, IMAGE_REQS), (uint32_t)s->n};

	for (size_t i = 0; i < s->n; i++) {
		const struct selector_req *req = &s->reqs[i];
		struct image_req out = {
			.key = add_string(b, req->key),
			.op = req->op,
			.values = {count(b, IMAGE_VALUES), (uint32_t)req->n_values},
		};

		for (size_t j = 0; j < req->n_values; j++)
			add(b, IMAGE_VALUES, &(uint32_t){add_string(b, req->values[j])});
		add(b, IMAGE_REQS, &out);
	}
	return span;
}

/* Where the same labels stand already; else where these do, which came last. */
static struct image_span labels_once(struct builder *b, struct image_span last)
{
	struct bytes *all = &b->sections[IMAGE_LABELS];
	size_t size = sizeof(struct image_label), len = last.n * size;
	const uint8_t *bytes = all->data + last.first * size;
	uint64_t hash = hash_bytes(bytes, len, last.n);
	uint32_t i;

	for (i = hash_index_first(&b->labels, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&b->labels, i)) {
		struct image_span s = b->label_spans[i];

		if (s.n != last.n || memcmp(all->data + s.first * size, bytes, len) != 0)
			continue;
		all->len -= len;
		return s;
	}
	i = hash_index_add(&b->labels, hash);
	MEM_GROW(b->label_spans, i);
	return b->label_spans[i] = last;
}

/* Those of a workload's pods are the same, and most often lie in one place. */
static struct image_span add_labels(struct builder *b, const struct labels *labels)
{
	uint64_t at = (uintptr_t)labels->items;
	struct known_labels *known = &b->known[hash_bytes(&at, sizeof(at), 0) & (KNOWN_LABELS - 1)];
	struct image_span span = {count(b, IMAGE_LABELS), (uint32_t)labels->n};

	if (!labels->n)
		return (struct image_span){0};
	if (known->items == labels->items)
		return known->span;
	for (size_t i = 0; i < labels->n; i++) {
		struct image_label out = {add_string(b, labels->items[i].key),
					  add_string(b, labels->items[i].value)};

		add(b, IMAGE_LABELS, &out);
	}
	known->items = labels->items;
	return known->span = labels_once(b, span);
}

/* ---- buckets ---- */

/* The requirement that leaves the fewest: In with the fewest values, or NULL. */
static const struct selector_req *index_req(const struct selector *s)
{
	const struct selector_req *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct selector_req *req = &s->reqs[i];

		if (req->op == SEL_IN && req->n_values <= MAX_INDEX_VALUES &&
		    (!best || req->n_values < best->n_values))
			best = req;
	}
	return best;
}

static void add_member(struct builder *b, uint64_t hash, uint32_t policy)
{
	MEM_GROW(b->members, b->n_members);
	b->members[b->n_members++] = (struct member){hash, policy};
}

static void index_policy(struct builder *b, const struct doc_policy *p, const struct selector *pods,
			 uint32_t index)
{
	const char *ns = p->meta.kind == DOC_EGRESS_POLICY ? p->meta.namespace : "";
	const struct selector_req *req = index_req(pods);
	enum image_bucket_kind kind = BUCKET_POD;

	if (!req && p->meta.kind == DOC_CLUSTER_EGRESS_POLICY) {
		req = index_req(&p->namespaces);
		kind = req ? BUCKET_NAMESPACE : BUCKET_POD;
	}
	if (!req)
		add_member(b, image_bucket_hash(kind, ns, "", ""), index);
	for (size_t i = 0; req && i < req->n_values; i++)
		add_member(b, image_bucket_hash(kind, ns, req->key, req->values[i]), index);
}

static int compare_members(const void *va, const void *vb)
{
	const struct member *a = va, *b = vb;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return a->policy < b->policy ? -1 : a->policy > b->policy;
}

static void add_buckets(struct builder *b)
{
	if (b->n_members)
		qsort(b->members, b->n_members, sizeof(*b->members), compare_members);
	for (size_t i = 0, next; i < b->n_members; i = next) {
		struct image_bucket out = {.hash = b->members[i].hash};

		out.members.first = count(b, IMAGE_MEMBERS);
		for (next = i; next < b->n_members && b->members[next].hash == out.hash; next++)
			add(b, IMAGE_MEMBERS, &b->members[next].policy);
		out.members.n = (uint32_t)(next - i);
		add(b, IMAGE_BUCKETS, &out);
	}
}

/* ---- objects ---- */

static int compare_service(const void *key, const void *service)
{
	const struct doc_meta *a = key, *b = &((const struct doc_service *)service)->meta;
	int order = strcmp(a->namespace, b->namespace);

	return order ? order : strcmp(a->name, b->name);
}

/* NULL: it is not there, or selects nobody. */
static const struct selector *service_selector(const struct doc_set *set, const char *namespace,
					       char *name)
{
	struct doc_meta key = {.name = name};
	const struct doc_service *s;

	if (!set->n_services)
		return NULL;
	key.namespace = mem_strdup(namespace);
	s = bsearch(&key, set->services, set->n_services, sizeof(*set->services), compare_service);
	free(key.namespace);
	return s && s->selector.present && s->selector.n ? &s->selector : NULL;
}

/* Requirements lie behind each other, and so do the selectors of one policy. */
static void add_pods(struct builder *b, const struct doc_set *set, const struct doc_policy *p,
		     uint32_t index, struct image_span *ret)
{
	*ret = (struct image_span){.first = count(b, IMAGE_SELECTORS)};
	for (size_t i = 0; i < p->n_services || (i == 0 && !p->n_services); i++) {
		const struct selector *s = p->n_services ? service_selector(set, p->meta.namespace,
									    p->services[i])
							 : &p->pods;
		struct image_span reqs;

		if (!s)
			continue;
		reqs = add_selector(b, s);
		add(b, IMAGE_SELECTORS, &reqs);
		index_policy(b, p, s, index);
		ret->n++;
	}
}

static void add_policies(struct builder *b, const struct compiled *c)
{
	for (uint32_t i = 0; i < c->n_policies; i++) {
		const struct doc_policy *p = c->policies[i].doc;
		struct image_policy out = {
			.namespace = add_string(b, p->meta.namespace),
			.name = add_string(b, p->meta.name),
			.digest = c->policies[i].digest,
		};

		if (p->meta.kind == DOC_CLUSTER_EGRESS_POLICY)
			out.flags |= IMAGE_POLICY_CLUSTER;
		if (p->namespaces.present)
			out.flags |= IMAGE_POLICY_NAMESPACES;
		if (p->audit)
			out.flags |= IMAGE_POLICY_AUDIT;
		add_pods(b, c->set, p, i, &out.pods);
		out.namespaces = add_selector(b, &p->namespaces);
		add(b, IMAGE_POLICIES, &out);
	}
	add_buckets(b);
}

static void add_objects(struct builder *b, const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_namespaces; i++) {
		const struct doc_meta *meta = &set->namespaces[i].meta;
		struct image_namespace out = {.name = add_string(b, meta->name)};

		out.labels = add_labels(b, &meta->labels);
		add(b, IMAGE_NAMESPACES, &out);
	}
	for (size_t i = 0; i < set->n_pods; i++) {
		const struct doc_meta *meta = &set->pods[i]->meta;
		struct image_pod out = {.namespace = add_string(b, meta->namespace),
					.name = put_string(b, meta->name)};

		out.labels = add_labels(b, &meta->labels);
		add(b, IMAGE_PODS, &out);
	}
}

static void pad_to_8(struct bytes *out)
{
	static const uint8_t zero[8];

	put(out, zero, -(out->base + out->len) & 7);
}

static void put_section(struct bytes *out, struct image_header *h, enum image_section s,
			const struct bytes *content)
{
	pad_to_8(out);
	h->sections[s].offset = (uint32_t)(out->base + out->len);
	h->sections[s].count = (uint32_t)(content->len / image_record_size[s]);
	put(out, content->data, content->len);
}

/* Of the sections with what they are padded with: it may be large, and twice is too much. */
static size_t image_size(const struct bytes sections[IMAGE_SECTIONS])
{
	size_t size = sizeof(struct image_header);

	for (enum image_section s = 0; s < IMAGE_SECTIONS; s++)
		size += sections[s].len + 7;
	return size;
}

/* The header goes in last: it tells where everything came to lie. */
static void finish(struct bytes *out, struct image_header *h, uint8_t **ret_data, size_t *ret_len)
{
	memcpy(h->magic, IMAGE_MAGIC, sizeof(h->magic));
	h->version = IMAGE_VERSION;
	h->len = out->len;
	memcpy(out->data, h, sizeof(*h));
	h->checksum = image_checksum(out->data, out->len);
	memcpy(out->data, h, sizeof(*h));
	*ret_data = out->data;
	*ret_len = out->len;
}

void image_build_subjects(const struct compiled *c, uint8_t **ret_data, size_t *ret_len)
{
	struct builder b = {};
	struct image_header h = {};
	struct bytes out = {};

	add_string(&b, "");
	add_policies(&b, c);
	add_objects(&b, c->set);
	hash_index_done(&b.strings);
	hash_index_done(&b.labels);
	free(b.string_offsets);
	free(b.label_spans);
	free(b.members);
	reserve(&out, image_size(b.sections));
	put(&out, &h, sizeof(h));
	for (enum image_section s = 0; s < IMAGE_SECTIONS; s++) {
		put_section(&out, &h, s, &b.sections[s]);
		free(b.sections[s].data);
	}
	finish(&out, &h, ret_data, ret_len);
}

struct image image_of(const struct compiled *c, bool from_api)
{
	return (struct image){c->subjects, c->subjects_len, from_api};
}

void image_subjects_digests(struct compiled *c)
{
	size_t n = c->edited ? c->n_edited : c->n_policies;
	struct image_header h;
	uint8_t *first;

	memcpy(&h, c->subjects, sizeof(h));
	first = c->subjects + h.sections[IMAGE_POLICIES].offset;
	for (size_t i = 0; i < n; i++) {
		size_t k = c->edited ? c->edited[i] : i;

		memcpy(first + k * sizeof(struct image_policy) +
			       offsetof(struct image_policy, digest),
		       &c->policies[k].digest, sizeof(c->policies[k].digest));
	}
	h.checksum = image_checksum(c->subjects, c->subjects_len);
	memcpy(c->subjects, &h, sizeof(h));
}

/* ---- a publication ---- */

static int compare_programs(const void *va, const void *vb)
{
	const struct image_program_rec *a = va, *b = vb;

	return a->key < b->key ? -1 : a->key > b->key;
}

static struct bytes programs_section(const struct image_program *programs, size_t n)
{
	struct bytes out = {};

	for (size_t i = 0; i < n; i++) {
		struct image_program_rec rec = {.key = programs[i].key,
						.policy = programs[i].policy};

		put(&out, &rec, sizeof(rec));
	}
	if (n)
		qsort(out.data, n, sizeof(struct image_program_rec), compare_programs);
	return out;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct bytes exempt_section(const struct image_info *info)
{
	size_t size = info->n_source_exempt * sizeof(*info->source_exempt);
	__cleanup_free const char **sorted = mem_dup(info->source_exempt, size);
	struct bytes out = {};

	if (size)
		qsort(sorted, info->n_source_exempt, sizeof(*sorted), compare_strings);
	for (size_t i = 0; i < info->n_source_exempt; i++)
		put(&out, sorted[i], strlen(sorted[i]) + 1);
	return out;
}

/* The pieces: the header, the subjects behind theirs, and what a publication adds. */
void image_pieces_build(const struct compiled *c, const struct image_info *info,
			const struct image_program *programs, size_t n, struct image_pieces *ret)
{
	struct bytes p = programs_section(programs, n), x = exempt_section(info), out = {};
	const size_t head = sizeof(struct image_header), checked = CHECKED_FROM;
	struct image_header h;
	struct iovec *v = ret->list;

	memcpy(&h, c->subjects, head);
	h.generation = info->generation;
	h.fingerprint = info->fingerprint;
	h.digest = info->digest;
	h.mark_mask = info->mark_mask;
	reserve(&out, head + p.len + x.len + 2 * 7);
	put(&out, &h, head);
	out.base = c->subjects_len - head; /* they come between */
	put_section(&out, &h, IMAGE_PROGRAMS, &p);
	put_section(&out, &h, IMAGE_EXEMPT, &x);
	free(p.data);
	free(x.data);
	h.len = out.base + out.len;
	memcpy(out.data, &h, head);
	v[1] = (struct iovec){c->subjects + head, out.base};
	v[2] = (struct iovec){out.data + head, out.len - head};
	v[0] = (struct iovec){out.data + checked, head - checked};
	h.checksum = hash_pieces(v, IMAGE_PIECES, IMAGE_VERSION);
	memcpy(out.data, &h, head);
	v[0] = (struct iovec){out.data, head};
	ret->own = out.data;
}
