/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an image, and resolves pods with it: policy_resolve goes through the same
 * bytes as the plugin does, so that the two can never disagree.
 *
 * Unknown labels make matching three-valued: what is known for certain (the
 * namespace, the implied labels) still decides; only a policy whose answer hangs on
 * an unknown label makes the whole answer "undecided".
 */
#include "policy/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/image_format.h"

/* Reads with every access checked; what lies outside sets bad and reads as zeros. */
struct reader {
	const struct image *img;
	struct image_header h;
	bool bad;
};

static void reader_init(struct reader *r, const struct image *img)
{
	r->img = img;
	r->bad = false;
	memcpy(&r->h, img->data, sizeof(r->h)); /* image_open saw that it is there */
}

static bool get(struct reader *r, enum image_section s, uint64_t index, void *ret)
{
	uint32_t size = image_record_size[s];

	if (index >= r->h.sections[s].count) {
		r->bad = true;
		memset(ret, 0, size);
		return false;
	}
	memcpy(ret, r->img->data + r->h.sections[s].offset + index * size, size);
	return true;
}

static const char *str(struct reader *r, uint32_t offset)
{
	if (offset >= r->h.sections[IMAGE_STRINGS].count) {
		r->bad = true;
		return "";
	}
	return (const char *)r->img->data + r->h.sections[IMAGE_STRINGS].offset + offset;
}

/* ---- opening ---- */

static bool section_fits(const struct image_header *h, enum image_section s)
{
	const struct image_place *p = &h->sections[s];

	return p->offset >= sizeof(*h) && p->offset <= h->len &&
	       (uint64_t)p->count * image_record_size[s] <= h->len - p->offset;
}

static bool ends_in_nul(const struct image_header *h, enum image_section s, const uint8_t *data)
{
	const struct image_place *p = &h->sections[s];

	return !p->count || !data[p->offset + p->count - 1];
}

int image_open(struct image *img, const void *data, size_t len, struct err *e)
{
	struct image_header h;

	if (len < sizeof(h) || memcmp(data, IMAGE_MAGIC, sizeof(h.magic)) != 0)
		return err_set(e, -EINVAL, "not a policy image");
	memcpy(&h, data, sizeof(h));
	if (h.version != IMAGE_VERSION)
		return err_set(e, -EPROTO, "policy image has version %u, expected %u", h.version,
			       IMAGE_VERSION);
	if (h.len != len)
		return err_set(e, -EINVAL, "policy image is cut: %zu of %llu bytes", len,
			       (unsigned long long)h.len);
	for (enum image_section s = 0; s < IMAGE_SECTIONS; s++)
		if (!section_fits(&h, s))
			return err_set(e, -EINVAL, "policy image: section %d lies outside", s);
	if (!ends_in_nul(&h, IMAGE_STRINGS, data) || !ends_in_nul(&h, IMAGE_EXEMPT, data))
		return err_set(e, -EINVAL, "policy image: a string does not end");
	if (h.checksum != image_checksum(data, len))
		return err_set(e, -EINVAL, "policy image: checksum is wrong");
	*img = (struct image){.data = data, .len = len, .from_api = !h.fingerprint};
	return 0;
}

void image_set_generation(void *data, size_t len, uint64_t generation)
{
	struct image_header h;

	memcpy(&h, data, sizeof(h));
	h.generation = generation;
	memcpy(data, &h, sizeof(h));
	h.checksum = image_checksum(data, len);
	memcpy(data, &h, sizeof(h));
}

void image_info_get(const struct image *img, struct image_info *ret)
{
	struct reader r;

	reader_init(&r, img);
	*ret = (struct image_info){
		.generation = r.h.generation,
		.fingerprint = r.h.fingerprint,
		.digest = r.h.digest,
		.mark_mask = r.h.mark_mask,
	};
}

static int pod_order(struct reader *r, size_t index, const char *namespace, const char *name,
		     struct image_pod *ret)
{
	int order;

	get(r, IMAGE_PODS, index, ret);
	order = strcmp(namespace, str(r, ret->namespace));
	return order ? order : strcmp(name, str(r, ret->name));
}

int image_pod_labels(const struct image *img, const char *namespace, const char *name,
		     struct labels *ret)
{
	struct reader r;
	struct image_pod pod;
	size_t lo = 0, hi;

	reader_init(&r, img);
	for (hi = r.h.sections[IMAGE_PODS].count; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		int order = pod_order(&r, mid, namespace, name, &pod);

		if (order == 0) {
			*ret = (struct labels){};
			for (uint32_t i = 0; i < pod.labels.n && !r.bad; i++) {
				struct image_label l;

				get(&r, IMAGE_LABELS, (uint64_t)pod.labels.first + i, &l);
				labels_set(ret, str(&r, l.key), str(&r, l.value));
			}
			return 0;
		}
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -ENOENT;
}

/* ---- labels ---- */

/* Labels of a pod (in memory) or of a namespace (in the image), asked the same way. */
struct subject {
	const struct labels *labels; /* NULL: in the image */
	struct image_span span;
	const char *namespace; /* set for a namespace: its implied label */
	bool unknown;	       /* labels that are not there may yet exist */
};

static const char *image_label_get(struct reader *r, struct image_span span, const char *key)
{
	for (uint32_t i = 0; i < span.n && !r->bad; i++) {
		struct image_label label;

		if (get(r, IMAGE_LABELS, (uint64_t)span.first + i, &label) &&
		    strcmp(str(r, label.key), key) == 0)
			return str(r, label.value);
	}
	return NULL;
}

static const char *subject_get(struct reader *r, const struct subject *s, const char *key)
{
	if (s->labels)
		return labels_get(s->labels, key);
	if (strcmp(key, LABEL_NAMESPACE_NAME) == 0)
		return s->namespace;
	return image_label_get(r, s->span, key);
}

/* Labels that are given with every pod, known even when its object is not. */
static bool is_implied(const char *key)
{
	static const char *const keys[] = {"sluice.dev/pod", "sluice.dev/network",
					   "sluice.dev/ifname"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

enum answer { NO, MAYBE, YES };

static bool value_listed(struct reader *r, struct image_span values, const char *value)
{
	for (uint32_t i = 0; i < values.n && !r->bad; i++) {
		uint32_t v;

		if (get(r, IMAGE_VALUES, (uint64_t)values.first + i, &v) &&
		    strcmp(str(r, v), value) == 0)
			return true;
	}
	return false;
}

static enum answer req_matches(struct reader *r, const struct image_req *req,
			       const struct subject *s)
{
	const char *key = str(r, req->key);
	const char *value = subject_get(r, s, key);

	if (!value && s->unknown && !is_implied(key))
		return MAYBE;
	switch (req->op) {
	case SEL_IN:
		return value && value_listed(r, req->values, value) ? YES : NO;
	case SEL_NOT_IN:
		return value && value_listed(r, req->values, value) ? NO : YES;
	case SEL_EXISTS:
		return value ? YES : NO;
	case SEL_DOES_NOT_EXIST:
		return value ? NO : YES;
	default:
		r->bad = true;
		return NO;
	}
}

static enum answer selector_answer(struct reader *r, struct image_span reqs,
				   const struct subject *s)
{
	enum answer all = YES;

	for (uint32_t i = 0; i < reqs.n && !r->bad; i++) {
		struct image_req req;
		enum answer one;

		get(r, IMAGE_REQS, (uint64_t)reqs.first + i, &req);
		one = req_matches(r, &req, s);
		if (one == NO)
			return NO;
		if (one == MAYBE)
			all = MAYBE;
	}
	return all;
}

/* ---- which policies may select a pod ---- */

struct match {
	struct reader r;
	const struct pod_info *pod;
	struct subject pod_subject, namespace;
	uint32_t *found;
	size_t n;
};

static void add_bucket(struct match *m, uint64_t hash)
{
	size_t lo = 0, hi = m->r.h.sections[IMAGE_BUCKETS].count;
	struct image_bucket bucket;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		get(&m->r, IMAGE_BUCKETS, mid, &bucket);
		if (bucket.hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo >= m->r.h.sections[IMAGE_BUCKETS].count)
		return;
	get(&m->r, IMAGE_BUCKETS, lo, &bucket);
	for (uint32_t i = 0; bucket.hash == hash && i < bucket.members.n && !m->r.bad; i++) {
		uint32_t policy;

		if (!get(&m->r, IMAGE_MEMBERS, (uint64_t)bucket.members.first + i, &policy))
			return;
		MEM_GROW(m->found, m->n);
		m->found[m->n++] = policy;
	}
}

static void add_candidates(struct match *m)
{
	const char *ns = m->pod->namespace;
	const struct labels *labels = &m->pod->labels;
	const struct image_span *span = &m->namespace.span;

	add_bucket(m, image_bucket_hash(BUCKET_POD, ns, "", ""));
	add_bucket(m, image_bucket_hash(BUCKET_POD, "", "", ""));
	for (size_t i = 0; i < labels->n; i++) {
		const struct label *l = &labels->items[i];

		add_bucket(m, image_bucket_hash(BUCKET_POD, ns, l->key, l->value));
		add_bucket(m, image_bucket_hash(BUCKET_POD, "", l->key, l->value));
	}
	add_bucket(m, image_bucket_hash(BUCKET_NAMESPACE, "", LABEL_NAMESPACE_NAME, ns));
	for (uint32_t i = 0; i < span->n && !m->r.bad; i++) {
		struct image_label l;
		const char *key;

		get(&m->r, IMAGE_LABELS, (uint64_t)span->first + i, &l);
		key = str(&m->r, l.key);
		if (strcmp(key, LABEL_NAMESPACE_NAME) != 0)
			add_bucket(m, image_bucket_hash(BUCKET_NAMESPACE, "", key,
							str(&m->r, l.value)));
	}
}

/* Without labels the index cannot help: look at all of them. */
static void add_all(struct match *m)
{
	m->n = m->r.h.sections[IMAGE_POLICIES].count;
	m->found = mem_resize(NULL, m->n, sizeof(*m->found));
	for (uint32_t i = 0; i < m->n; i++)
		m->found[i] = i;
}

/* Any of a policy's selectors will do. */
static enum answer pods_answer(struct match *m, struct image_span selectors)
{
	enum answer any = NO;

	for (uint32_t i = 0; i < selectors.n && any != YES && !m->r.bad; i++) {
		struct image_span reqs;
		enum answer one;

		get(&m->r, IMAGE_SELECTORS, (uint64_t)selectors.first + i, &reqs);
		one = selector_answer(&m->r, reqs, &m->pod_subject);
		if (one != NO)
			any = one;
	}
	return any;
}

static enum answer policy_selects(struct match *m, const struct image_policy *p)
{
	enum answer namespace = YES, pods;

	if (!(p->flags & IMAGE_POLICY_CLUSTER)) {
		if (strcmp(str(&m->r, p->namespace), m->pod->namespace) != 0)
			return NO;
	} else if (p->flags & IMAGE_POLICY_NAMESPACES) {
		namespace = selector_answer(&m->r, p->namespaces, &m->namespace);
	}
	if (namespace == NO)
		return NO;
	pods = pods_answer(m, p->pods);
	return pods == YES ? namespace : pods;
}

static void find_namespace(struct match *m)
{
	size_t lo = 0, hi = m->r.h.sections[IMAGE_NAMESPACES].count;

	m->namespace = (struct subject){.namespace = m->pod->namespace};
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct image_namespace ns;
		int order;

		get(&m->r, IMAGE_NAMESPACES, mid, &ns);
		order = strcmp(m->pod->namespace, str(&m->r, ns.name));
		if (order == 0) {
			m->namespace.span = ns.labels;
			return;
		}
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
}

static int compare_u32(const void *va, const void *vb)
{
	const uint32_t *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

/* ---- bindings ---- */

static void binding_add(struct binding *b, uint32_t index, uint64_t digest)
{
	MEM_GROW(b->policies, b->n);
	b->policies[b->n++] = index;
	b->key = digest_of(&digest, sizeof(digest), b->key);
	if (!b->key)
		b->key = 1;
}

/* Of found[], what selects the pod; an answer that hangs on an unknown label is none. */
static void filter(struct match *m, struct image_bindings *ret)
{
	bool any_audit = false;

	for (size_t i = 0; i < m->n && !m->r.bad; i++) {
		struct image_policy p;
		enum answer answer;
		bool audit;

		if ((i && m->found[i] == m->found[i - 1]) ||
		    !get(&m->r, IMAGE_POLICIES, m->found[i], &p))
			continue;
		answer = policy_selects(m, &p);
		if (answer == NO)
			continue;
		audit = p.flags & IMAGE_POLICY_AUDIT;
		any_audit = any_audit || audit;
		ret->audit_undecided = ret->audit_undecided || answer == MAYBE;
		ret->undecided = ret->undecided || (answer == MAYBE && !audit);
		binding_add(&ret->audit, m->found[i], p.digest);
		if (!audit)
			binding_add(&ret->enforced, m->found[i], p.digest);
	}
	ret->audit_undecided = ret->audit_undecided && any_audit;
	if (ret->undecided)
		binding_done(&ret->enforced);
	if (!any_audit || ret->audit_undecided)
		binding_done(&ret->audit);
}

void image_bindings_done(struct image_bindings *b)
{
	binding_done(&b->enforced);
	binding_done(&b->audit);
}

int image_match(const struct image *img, const struct pod_info *pod, struct image_bindings *ret)
{
	struct match m = {
		.pod = pod,
		.pod_subject = {.labels = &pod->labels, .unknown = !pod->labels_known},
	};

	*ret = (struct image_bindings){};
	reader_init(&m.r, img);
	find_namespace(&m);
	if (pod->labels_known)
		add_candidates(&m);
	else
		add_all(&m);
	if (m.n)
		qsort(m.found, m.n, sizeof(*m.found), compare_u32);
	filter(&m, ret);
	free(m.found);
	if (!m.r.bad)
		return 0;
	image_bindings_done(ret);
	return -EINVAL;
}
